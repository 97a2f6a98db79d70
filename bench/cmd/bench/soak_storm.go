package main

import (
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/soak/storm"
)

// stormFlags are those of a soak on a private cluster, and its own. The processes are said to do some work.
func stormFlags(work string, own ...cli.Flag) []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.DurationFlag{Name: "for", Value: 20 * time.Minute, Usage: "how long troubles strike"},
		&cli.IntFlag{Name: "processes", Value: 3, Usage: "processes that " + work},
		&cli.IntFlag{Name: "partitions", Value: 4, Usage: "input streams of the service"},
	}, own, []cli.Flag{
		&cli.DurationFlag{Name: "lease-ttl", Value: 10 * time.Second, Usage: "TTL of a lease"},
		&cli.DurationFlag{Name: "session-ttl", Value: 4 * time.Second, Usage: "TTL of a session; troubles last about as long"},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of all random choices; 0: a random one, which is reported"},
		&cli.BoolFlag{Name: "spare", Usage: "leave the cluster alone: troubles strike processes and their connections only"},
		jsonFlag,
	})
}

// stormOptions are the options in these flags.
func stormOptions(c *cli.Command) (o storm.Options, err error) {
	if err := positive(c, "processes", "partitions"); err != nil {
		return o, err
	}
	if err := between(c, "for", time.Second, 7*24*time.Hour); err != nil {
		return o, err
	}
	return storm.Options{
		For: c.Duration("for"), Processes: c.Int("processes"), Partitions: c.Int("partitions"), LeaseTTL: c.Duration("lease-ttl"),
		SessionTTL: c.Duration("session-ttl"), Seed: c.Uint64("seed"), Spare: c.Bool("spare"),
	}, validTTLs(c)
}
