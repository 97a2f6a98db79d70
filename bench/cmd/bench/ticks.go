package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/ticks"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

var ticksCommand = &cli.Command{
	Name:  "ticks",
	Usage: "fire the ticks of schedules, and compare with a goroutine and a ticker for each and a lock for each tick: processor time, lateness, memory; replace, kill, edit",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "schedules", Value: "1000,10000", Usage: "numbers of schedules that are compared, separated by commas"},
		&cli.StringFlag{Name: "every", Value: "1s,30s", Usage: "intervals of these, separated by commas"},
		&cli.DurationFlag{Name: "for", Value: 20 * time.Second, Usage: "how long each of them is measured: each lease is renewed every 10 s, in waves"},
		&cli.IntFlag{Name: "rounds", Value: 1, Usage: "how often each of them is measured, in turn with what it is compared with"},
		&cli.IntFlag{Name: "moved", Value: 4_000, Usage: "schedules of two processes, of which one is replaced or killed"},
		&cli.StringFlag{Name: "moved-every", Value: "1s,15s", Usage: "intervals of these, separated by commas"},
		&cli.IntFlag{Name: "changed", Value: 200, Usage: "changes of each kind: edits, triggers, deletions"},
		&cli.IntFlag{Name: "declared", Value: 10_000, Usage: "schedules that are declared again, unchanged"},
		&cli.StringFlag{Name: "many", Value: "100000", Usage: "numbers of schedules that one process takes, separated by commas; from 200,000 on, the TTL of its leases is 5 min"},
		&cli.DurationFlag{Name: "many-every", Value: 10 * time.Minute, Usage: "interval of these"},
		&cli.DurationFlag{Name: "rest", Usage: "how long they are measured; 0: for one interval, so that each has a tick"},
		&cli.DurationFlag{Name: "session-ttl", Usage: "TTL of a session; 0: the default"},
		partsFlag(ticks.AllParts()),
		&cli.StringFlag{Name: "profiles", Usage: "folder for profiles of processes under each load, for go tool pprof; empty: none"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) (err error) {
		if err := positive(c, "rounds", "moved", "changed", "declared"); err != nil {
			return err
		}
		o := ticks.Options{
			URL: address.Of(c, ""), For: c.Duration("for"), Rounds: c.Int("rounds"), Moved: c.Int("moved"), Changed: c.Int("changed"), Declared: c.Int("declared"),
			ManyEvery: c.Duration("many-every"), Rest: c.Duration("rest"), SessionTTL: c.Duration("session-ttl"), Profiles: c.String("profiles"),
		}
		if err := between(c, "for", 100*time.Millisecond, time.Hour); err != nil {
			return err
		}
		if err := between(c, "many-every", schedule.MinEvery, 24*time.Hour); err != nil {
			return err
		}
		if err := between(c, "rest", 0, 24*time.Hour); err != nil {
			return err
		}
		if o.SessionTTL != 0 {
			if err := between(c, "session-ttl", engine.MinTTL, engine.DefaultLeaseTTL); err != nil {
				return err
			}
		}
		if o.Schedules, err = numbers(c, "schedules"); err != nil {
			return err
		}
		if o.Many, err = numbers(c, "many"); err != nil {
			return err
		}
		if o.Every, err = intervals(c, "every"); err != nil {
			return err
		}
		if o.MovedEvery, err = intervals(c, "moved-every"); err != nil {
			return err
		}
		if o.Parts, err = parts(c, ticks.AllParts()); err != nil {
			return err
		}
		return ticks.Run(ctx, o, reportOf(c))
	},
}

// tickerCommand is started by ticks, and by the soak of ticks.
var tickerCommand = &cli.Command{
	Name:   "ticker",
	Hidden: true,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model"},
		&cli.StringFlag{Name: "service"},
		&cli.StringFlag{Name: "prefix"},
		&cli.IntFlag{Name: "schedules"},
		&cli.DurationFlag{Name: "every"},
		&cli.IntFlag{Name: "partitions"},
		&cli.DurationFlag{Name: "lease-ttl"},
		&cli.DurationFlag{Name: "session-ttl"},
		&cli.StringFlag{Name: "consumer"},
		&cli.StringFlag{Name: "notes"},
		&cli.BoolFlag{Name: "troubled"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		// The parent ends the child by closing its input. The child ignores an interrupt, which reaches both.
		return ticker.Serve(context.WithoutCancel(ctx), ticker.Options{
			Model: ticker.Model(c.String("model")), Service: c.String("service"), Prefix: c.String("prefix"), Schedules: c.Int("schedules"),
			Every: c.Duration("every"), Partitions: c.Int("partitions"), LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"),
			Consumer: c.String("consumer"), Notes: c.String("notes"), Troubled: c.Bool("troubled"),
		}, os.Stdin, os.Stdout)
	},
}
