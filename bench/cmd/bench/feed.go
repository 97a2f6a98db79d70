package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/messages"
)

var feedCommand = &cli.Command{
	Name:  "feed",
	Usage: "read the messages of many streams, and compare with a goroutine, a connection and XREAD BLOCK for each: processor time, latency, memory",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "streams", Value: "1000,10000,100000", Usage: "numbers of streams, separated by commas"},
		&cli.StringFlag{Name: "rates", Value: "1000,10000,50000", Usage: "messages a second, separated by commas"},
		&cli.StringFlag{Name: "spreads", Value: "even,zipf", Usage: "how messages are spread over streams, separated by commas"},
		&cli.DurationFlag{Name: "for", Value: 5 * time.Second, Usage: "how long each load is measured"},
		&cli.DurationFlag{Name: "rest", Value: 2 * messages.Renewal, Usage: "how long streams are measured to which nothing is added: each lease is renewed every 10 s, in waves"},
		&cli.IntFlag{Name: "rounds", Value: 1, Usage: "how often each load is measured, in turn with what it is compared with"},
		&cli.IntFlag{Name: "most", Value: 100_000, Usage: "messages a second that are too many, to see how many are served; 0: not measured"},
		&cli.IntFlag{Name: "backlog", Value: 1_000_000, Usage: "messages that wait when a reader comes"},
		partsFlag(messages.AllParts()),
		&cli.StringFlag{Name: "profiles", Usage: "folder for profiles of readers, for go tool pprof; empty: none"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) (err error) {
		if err := positive(c, "rounds", "backlog"); err != nil {
			return err
		}
		o := messages.Options{URL: address.Of(c, ""), For: c.Duration("for"), Rest: c.Duration("rest"), Rounds: c.Int("rounds"), Most: c.Int("most"),
			Backlog: c.Int("backlog"), Profiles: c.String("profiles")}
		if o.Most < 0 {
			return fmt.Errorf("-most: %d is below 0", o.Most)
		}
		for _, name := range []string{"for", "rest"} {
			if err := between(c, name, 100*time.Millisecond, time.Hour); err != nil {
				return err
			}
		}
		if o.Streams, err = numbers(c, "streams"); err != nil {
			return err
		}
		if o.Rates, err = numbers(c, "rates"); err != nil {
			return err
		}
		if o.Spreads, err = list(c, "spreads", load.ParseSpread); err != nil {
			return err
		}
		if o.Parts, err = parts(c, messages.AllParts()); err != nil {
			return err
		}
		return messages.Run(ctx, o, reportOf(c))
	},
}

// loadCommand is started by feed: the producer.
var loadCommand = &cli.Command{
	Name:   "load",
	Hidden: true,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "prefix"},
		&cli.IntFlag{Name: "streams"},
		&cli.StringFlag{Name: "within"},
		&cli.StringFlag{Name: "without"},
		&cli.Uint64Flag{Name: "seed"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		return load.Serve(context.WithoutCancel(ctx), load.Options{
			Prefix: c.String("prefix"), Streams: c.Int("streams"), Within: load.Slots(c.String("within")), Without: load.Slots(c.String("without")),
			Seed: c.Uint64("seed"),
		}, os.Stdin, os.Stdout)
	},
}

// readerCommand is started by feed.
var readerCommand = &cli.Command{
	Name:   "reader",
	Hidden: true,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "model"},
		&cli.StringFlag{Name: "service"},
		&cli.StringFlag{Name: "prefix"},
		&cli.IntFlag{Name: "streams"},
		&cli.StringFlag{Name: "apart"},
		&cli.BoolFlag{Name: "clustered"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		return messages.ServeReader(context.WithoutCancel(ctx), messages.ReaderOptions{
			Model: messages.Model(c.String("model")), Service: c.String("service"), Prefix: c.String("prefix"), Streams: c.Int("streams"),
			Apart: load.Slots(c.String("apart")), Clustered: c.Bool("clustered"),
		}, os.Stdin, os.Stdout)
	},
}
