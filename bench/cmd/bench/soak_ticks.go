package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/soak/firing"
	"github.com/streamlease/streamlease/engine"
)

// soakTicksCommand is the part of the soak that fires ticks.
var soakTicksCommand = &cli.Command{
	Name:  "ticks",
	Usage: "have troubles strike processes that fire ticks, and a private cluster, while schedules are edited: lost, fired by an owner that was replaced, repeated without reason, edits that are not in force",
	Flags: []cli.Flag{
		&cli.DurationFlag{Name: "for", Value: 20 * time.Minute, Usage: "how long troubles strike"},
		&cli.IntFlag{Name: "processes", Value: 3, Usage: "processes that fire ticks"},
		&cli.IntFlag{Name: "partitions", Value: 4, Usage: "input streams of the service"},
		&cli.IntFlag{Name: "schedules", Value: 1_000, Usage: "schedules, most of them of 1 s and 15 s"},
		&cli.FloatFlag{Name: "changes", Value: 5, Usage: "edits, pauses, triggers, deletions a second, on average"},
		&cli.DurationFlag{Name: "lease-ttl", Value: 10 * time.Second, Usage: "TTL of a lease"},
		&cli.DurationFlag{Name: "session-ttl", Value: 4 * time.Second, Usage: "TTL of a session; troubles last about as long"},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of troubles and changes; 0: a random one, which is reported"},
		&cli.BoolFlag{Name: "spare", Usage: "leave the cluster alone: troubles strike processes and their connections only"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if address.Given(c) {
			return errors.New("-redis: its troubles kill servers, so it starts a private cluster")
		}
		if err := positive(c, "processes", "partitions", "schedules"); err != nil {
			return err
		}
		if n := c.Float("changes"); !(n > 0 && n <= 1000) {
			return fmt.Errorf("-changes: %v is not above 0 and at most 1,000", n)
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
		return firing.Run(ctx, firing.Options{
			For: c.Duration("for"), Processes: c.Int("processes"), Partitions: c.Int("partitions"), Schedules: c.Int("schedules"),
			Changes: c.Float("changes"), LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"), Seed: c.Uint64("seed"),
			Spare: c.Bool("spare"),
		}, reportOf(c))
	},
}
