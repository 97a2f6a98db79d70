package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
)

var consoleCommand = &cli.Command{
	Name:  "console",
	Usage: "watch a fleet by the operators' page: what that costs Redis, over what the fleet costs alone",
	Flags: []cli.Flag{
		&cli.IntFlag{Name: "streams", Value: 100_000, Usage: "streams that a process owns"},
		&cli.StringFlag{Name: "partitions", Value: "1,16", Usage: "numbers of partitions, separated by commas"},
		&cli.IntFlag{Name: "viewers", Value: 5, Usage: "how many watch, the overview and the fleet by turns"},
		&cli.DurationFlag{Name: "for", Value: 30 * time.Second, Usage: "how long it is measured with nobody, and how long with viewers"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := positive(c, "streams", "viewers"); err != nil {
			return err
		}
		partitions, err := numbers(c, "partitions")
		if err != nil {
			return err
		}
		d := c.Duration("for")
		if d < 100*time.Millisecond {
			return fmt.Errorf("-for: %v is not at least 100ms", d)
		}
		return suite.Console(ctx, suite.ConsoleOptions{
			URL: address.Of(c, ""), Streams: c.Int("streams"), Partitions: partitions, Viewers: c.Int("viewers"), For: d,
		}, reportOf(c))
	},
}
