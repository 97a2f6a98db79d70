package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/soak"
)

var soakCommand = &cli.Command{
	Name:     "soak",
	Usage:    "have troubles strike pods, links, the server and its entries while streams come and go: two owners, lost streams, what is left on the server",
	Commands: []*cli.Command{messagesCommand, soakBalanceCommand, soakTicksCommand},
	Flags: []cli.Flag{
		&cli.DurationFlag{Name: "for", Value: 10 * time.Minute, Usage: "how long troubles strike"},
		&cli.IntFlag{Name: "pods", Value: 4, Usage: "pods, each a process"},
		&cli.IntFlag{Name: "partitions", Value: 1, Usage: "input streams of the service"},
		&cli.IntFlag{Name: "streams", Value: 300, Usage: "announcements in play at a time, of twice as many streams"},
		&cli.DurationFlag{Name: "lease-ttl", Value: 5 * time.Second, Usage: "TTL of a lease"},
		&cli.DurationFlag{Name: "session-ttl", Value: 2 * time.Second, Usage: "TTL of a session; troubles last up to twice that, work on a stream half of it on average"},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of all random choices; 0: a random one, which is reported"},
		&cli.StringFlag{Name: "troubles", Value: "all", Usage: "which troubles strike, separated by commas, without those after a minus: all, " + strings.Join(soak.Troubles(), ", ")},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := positive(c, "streams", "partitions"); err != nil {
			return err
		}
		o := soak.Options{
			URL: address.Of(c, ""), For: c.Duration("for"), Pods: c.Int("pods"), Partitions: c.Int("partitions"), Streams: c.Int("streams"),
			LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"), Seed: c.Uint64("seed"),
		}
		var err error
		if o.Troubles, err = soak.ParseTroubles(c.String("troubles")); err != nil {
			return fmt.Errorf("-troubles: %w", err)
		}
		if o.Pods < 2 {
			return fmt.Errorf("-pods: %d is not at least 2: when one is in trouble, others take over", o.Pods)
		}
		if err := between(c, "for", time.Second, 7*24*time.Hour); err != nil {
			return err
		}
		if err := validTTLs(c); err != nil {
			return err
		}
		return soak.Run(ctx, o, reportOf(c))
	},
}
