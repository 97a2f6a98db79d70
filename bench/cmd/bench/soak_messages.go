package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/soak/handling"
	"github.com/streamlease/streamlease/engine"
)

// messagesCommand is the part of the soak that reads messages.
var messagesCommand = &cli.Command{
	Name:  "messages",
	Usage: "have troubles strike processes that read messages, and a private cluster: missing, out of order, handled by an owner that was replaced, repeated without reason",
	Flags: []cli.Flag{
		&cli.DurationFlag{Name: "for", Value: 20 * time.Minute, Usage: "how long troubles strike"},
		&cli.IntFlag{Name: "processes", Value: 3, Usage: "processes that read"},
		&cli.IntFlag{Name: "partitions", Value: 4, Usage: "input streams of the service"},
		&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams"},
		&cli.IntFlag{Name: "rate", Value: 500, Usage: "messages a second"},
		&cli.DurationFlag{Name: "lease-ttl", Value: 10 * time.Second, Usage: "TTL of a lease"},
		&cli.DurationFlag{Name: "session-ttl", Value: 4 * time.Second, Usage: "TTL of a session; troubles last about as long"},
		&cli.DurationFlag{Name: "checkpoint", Value: time.Second, Usage: "how often positions are stored"},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of troubles and messages; 0: a random one, which is reported"},
		&cli.BoolFlag{Name: "spare", Usage: "leave the cluster alone: troubles strike processes and their connections only"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := positive(c, "processes", "partitions", "streams", "rate"); err != nil {
			return err
		}
		if err := between(c, "for", time.Second, 7*24*time.Hour); err != nil {
			return err
		}
		if err := between(c, "lease-ttl", engine.MinTTL, engine.MaxTTL); err != nil {
			return err
		}
		if err := between(c, "session-ttl", engine.MinTTL, c.Duration("lease-ttl")); err != nil {
			return err
		}
		return handling.Run(ctx, handling.Options{
			For: c.Duration("for"), Processes: c.Int("processes"), Partitions: c.Int("partitions"), Streams: c.Int("streams"), Rate: c.Int("rate"),
			LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"), Checkpoint: c.Duration("checkpoint"), Seed: c.Uint64("seed"),
			Spare: c.Bool("spare"),
		}, reportOf(c))
	},
}

// soakReaderCommand is started by the soak of messages.
var soakReaderCommand = &cli.Command{
	Name:   "soak-reader",
	Hidden: true,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "service"},
		&cli.IntFlag{Name: "partitions"},
		&cli.StringFlag{Name: "prefix"},
		&cli.StringFlag{Name: "consumer"},
		&cli.StringFlag{Name: "notes"},
		&cli.DurationFlag{Name: "lease-ttl"},
		&cli.DurationFlag{Name: "session-ttl"},
		&cli.DurationFlag{Name: "checkpoint"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		return handling.Reader(context.WithoutCancel(ctx), handling.ReaderOptions{
			Service: c.String("service"), Partitions: c.Int("partitions"), Prefix: c.String("prefix"), Consumer: c.String("consumer"),
			Notes: c.String("notes"), LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"), Checkpoint: c.Duration("checkpoint"),
		}, os.Stdin, os.Stdout)
	},
}
