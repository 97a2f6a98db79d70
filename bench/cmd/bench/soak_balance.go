package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/soak"
)

// soakBalanceCommand is the part of the soak in which processes keep their streams.
var soakBalanceCommand = &cli.Command{
	Name:  "balance",
	Usage: "have troubles strike processes that share streams while others come and go: two owners, streams that nobody owns, shares that do not become even",
	Flags: []cli.Flag{
		&cli.DurationFlag{Name: "for", Value: 10 * time.Minute, Usage: "how long troubles strike, without the calms between"},
		&cli.DurationFlag{Name: "storm", Value: 2 * time.Minute, Usage: "how long they strike before each calm"},
		&cli.DurationFlag{Name: "calm", Value: 6 * time.Minute, Usage: "how long shares may take to become even when nothing is disturbed"},
		&cli.IntFlag{Name: "processes", Value: 5, Usage: "processes at most, besides one that comes and goes"},
		&cli.IntFlag{Name: "partitions", Value: 1, Usage: "input streams of the service"},
		&cli.IntFlag{Name: "streams", Value: 2_000, Usage: "streams that are shared"},
		&cli.DurationFlag{Name: "lease-ttl", Value: 10 * time.Second, Usage: "TTL of a lease"},
		&cli.DurationFlag{Name: "session-ttl", Value: 4 * time.Second, Usage: "TTL of a session; troubles last up to twice that"},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of all random choices; 0: a random one, which is reported"},
		&cli.StringFlag{Name: "balance", Usage: "what of the balance is on: on, off or gate; empty: as engines have it by default"},
		&cli.StringFlag{Name: "old", Usage: "another build of this program, of an earlier version, that processes run at random during a storm: a rolling upgrade"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) (err error) {
		if err := positive(c, "streams", "partitions"); err != nil {
			return err
		}
		o := soak.FleetOptions{
			URL: address.Of(c, ""), For: c.Duration("for"), Storm: c.Duration("storm"), Calm: c.Duration("calm"), Processes: c.Int("processes"),
			Partitions: c.Int("partitions"), Streams: c.Int("streams"), LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"),
			Seed: c.Uint64("seed"),
		}
		if o.Processes < 2 {
			return fmt.Errorf("-processes: %d is not at least 2: when one is in trouble, others take over", o.Processes)
		}
		for _, name := range []string{"for", "storm", "calm"} {
			if err := between(c, name, time.Second, 7*24*time.Hour); err != nil {
				return err
			}
		}
		if err := validTTLs(c); err != nil {
			return err
		}
		if o.Balance, err = pod.ParseBalance(c.String("balance")); err != nil {
			return fmt.Errorf("-balance: %w", err)
		}
		if o.Old, err = build(c); err != nil {
			return err
		}
		return soak.RunFleet(ctx, o, reportOf(c))
	},
}
