package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
)

var sizeCommand = &cli.Command{
	Name:  "size",
	Usage: "hold a ladder of sizes, measure what single operations cost, and recommend how many pods of which size",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "streams", Value: "1000,10000,100000", Usage: "sizes of one process, separated by commas"},
		&cli.DurationFlag{Name: "lease-ttl", Usage: "TTL of a lease; 0: the default"},
		&cli.DurationFlag{Name: "session-ttl", Usage: "TTL of a session; 0: the default"},
		&cli.IntFlag{Name: "partitions", Value: 1, Usage: "input streams of the service"},
		&cli.IntFlag{Name: "batch", Usage: "leases a script; 0: the default"},
		&cli.DurationFlag{Name: "tick", Usage: "resolution of renewals; 0: the default"},
		&cli.DurationFlag{Name: "for", Value: 20 * time.Second, Usage: "how long each size is measured"},
		&cli.IntFlag{Name: "fleet", Value: 100_000, Usage: "streams of the whole fleet, for the recommendation"},
		&cli.IntFlag{Name: "failed", Value: 1, Usage: "pods that may fail at once"},
		&cli.IntFlag{Name: "per-pod", Usage: "streams that a pod may hold after that failure; 0: the largest size that was held well"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := positive(c, "partitions", "fleet"); err != nil {
			return err
		}
		for _, name := range []string{"batch", "failed", "per-pod"} {
			if n := c.Int(name); n < 0 {
				return fmt.Errorf("-%s: %d is below 0", name, n)
			}
		}
		if err := between(c, "for", time.Second, time.Hour); err != nil {
			return err
		}
		ladder, err := numbers(c, "streams")
		if err != nil {
			return err
		}
		return suite.Size(ctx, suite.SizeOptions{
			Hold: suite.HoldOptions{
				URL: address.Of(c, ""), Streams: ladder, LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"),
				Partitions: c.Int("partitions"), MaxBatch: c.Int("batch"), Tick: c.Duration("tick"), For: c.Duration("for"),
			},
			Demand: suite.Demand{Streams: c.Int("fleet"), Failed: c.Int("failed"), PerPod: c.Int("per-pod")},
		}, reportOf(c))
	},
}
