package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/simulation"
	"github.com/streamlease/streamlease/bench/suite"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/wheel"
)

var scaleCommand = &cli.Command{
	Name:  "scale",
	Usage: "simulate a fleet beyond one machine, in virtual time: load on each master, and loss of pods",
	Flags: []cli.Flag{
		&cli.IntFlag{Name: "pods", Value: 1000, Usage: "processes"},
		&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams of each process"},
		&cli.IntFlag{Name: "partitions", Value: 64, Usage: "input streams"},
		&cli.IntFlag{Name: "masters", Value: 32, Usage: "servers"},
		&cli.StringFlag{Name: "lost", Value: "1,10,100", Usage: "pods that die at once, separated by commas; one simulation each"},
		&cli.DurationFlag{Name: "lease-ttl", Value: engine.DefaultLeaseTTL, Usage: "TTL of a lease"},
		&cli.DurationFlag{Name: "session-ttl", Value: engine.DefaultClusterSessionTTL, Usage: "TTL of a session"},
		&cli.DurationFlag{Name: "tick", Value: wheel.DefaultTick, Usage: "resolution of renewals"},
		&cli.IntFlag{Name: "batch", Value: lease.DefaultMaxBatch, Usage: "leases a script"},
		&cli.DurationFlag{Name: "for", Value: 30 * time.Second, Usage: "virtual time of renewals"},
		&cli.UintFlag{Name: "seed", Value: 1, Usage: "seed of the random numbers"},
		&cli.StringFlag{Name: "from", Usage: "JSON of bench size, or of a report that contains it, for the costs; empty: the flags below"},
		&cli.DurationFlag{Name: "script", Value: 25 * time.Microsecond, Usage: "Redis time of a script, whatever is in it"},
		&cli.DurationFlag{Name: "lease", Value: 2 * time.Microsecond, Usage: "Redis time of each lease in it"},
		&cli.DurationFlag{Name: "move", Value: 50 * time.Microsecond, Usage: "Redis time of a stream of a dead pod that is recovered and taken"},
		&cli.FloatFlag{Name: "move-rate", Value: 10_000, Usage: "streams a second that one process recovers"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if address.Given(c) {
			return errors.New("-redis: it simulates, and uses no server")
		}
		if err := between(c, "for", time.Second, time.Hour); err != nil {
			return err
		}
		lost, err := numbers(c, "lost")
		if err != nil {
			return err
		}
		config := simulation.Config{
			Pods: c.Int("pods"), PerPod: c.Int("streams"), Partitions: c.Int("partitions"), Masters: c.Int("masters"),
			LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"), Tick: c.Duration("tick"), MaxBatch: c.Int("batch"),
			Seed:   uint64(c.Uint("seed")),
			Script: c.Duration("script"), Lease: c.Duration("lease"), Move: c.Duration("move"), MoveRate: c.Float("move-rate"),
		}
		if path := c.String("from"); path != "" {
			costs, err := suite.ReadCosts(path)
			if err != nil {
				return err
			}
			config.Script, config.Lease, config.Move, config.MoveRate = costs.Script, costs.Lease, costs.Move, costs.MoveRate
		}
		for _, n := range lost {
			if n >= config.Pods {
				return fmt.Errorf("-lost: %d of %d pods: some have to survive", n, config.Pods)
			}
		}
		return suite.Scale(ctx, suite.ScaleOptions{Fleet: config, From: c.String("from"), Lost: lost, For: c.Duration("for")}, reportOf(c))
	},
}
