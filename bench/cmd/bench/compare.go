package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
	"github.com/streamlease/streamlease/engine"
)

var compareCommand = &cli.Command{
	Name:  "compare",
	Usage: "own streams in batches, and with a goroutine and a lock a stream, in turn: how many times less each figure is",
	Flags: []cli.Flag{
		&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams that are owned"},
		&cli.DurationFlag{Name: "ttl", Value: 2 * time.Second, Usage: "TTL of leases and locks"},
		&cli.DurationFlag{Name: "for", Value: 15 * time.Second, Usage: "how long each model is measured in each round"},
		&cli.IntFlag{Name: "rounds", Value: 3, Usage: "how often each model is measured, in turn"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := positive(c, "streams", "rounds"); err != nil {
			return err
		}
		if err := between(c, "ttl", engine.MinTTL, engine.MaxTTL); err != nil {
			return err
		}
		if err := between(c, "for", time.Second, time.Hour); err != nil {
			return err
		}
		return suite.Compare(ctx, suite.CompareOptions{
			URL: address.Of(c, ""), Streams: c.Int("streams"), TTL: c.Duration("ttl"), For: c.Duration("for"), Rounds: c.Int("rounds"),
		}, reportOf(c))
	},
}

// contenderCommand is started by compare.
var contenderCommand = &cli.Command{
	Name:   "contender",
	Hidden: true,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model"},
		&cli.DurationFlag{Name: "ttl"},
		&cli.BoolFlag{Name: "clustered"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		return suite.Contender(context.WithoutCancel(ctx), suite.ContenderOptions{
			Model: c.String("model"), TTL: c.Duration("ttl"), Clustered: c.Bool("clustered"),
		}, os.Stdin, os.Stdout)
	},
}
