package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/soak/handling"
)

// messagesCommand is the part of the soak that reads messages.
var messagesCommand = &cli.Command{
	Name:  "messages",
	Usage: "have troubles strike processes that read messages, and a private cluster: missing, out of order, handled by an owner that was replaced, repeated without reason",
	Flags: stormFlags("read",
		&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams"},
		&cli.IntFlag{Name: "rate", Value: 500, Usage: "messages a second"},
		&cli.DurationFlag{Name: "checkpoint", Value: time.Second, Usage: "how often positions are stored"},
	),
	Action: func(ctx context.Context, c *cli.Command) error {
		o, err := stormOptions(c)
		if err != nil {
			return err
		}
		if err := positive(c, "streams", "rate"); err != nil {
			return err
		}
		return handling.Run(ctx, handling.Options{
			Options: o, Streams: c.Int("streams"), Rate: c.Int("rate"), Checkpoint: c.Duration("checkpoint"),
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
