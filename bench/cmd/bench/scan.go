package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
)

var scanCommand = &cli.Command{
	Name:  "scan",
	Usage: "look at a partition in which nobody is dead, as engines do at each interval: commands by number of pending entries",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "pending", Value: "1000,100000", Usage: "entries pending, separated by commas"},
		&cli.IntFlag{Name: "consumers", Value: 20, Usage: "live consumers that share them"},
		&cli.IntFlag{Name: "looks", Value: 100, Usage: "number of looks"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if address.Given(c) {
			return errors.New("-redis: it counts every command of a server, so it starts a private one")
		}
		if err := positive(c, "consumers", "looks"); err != nil {
			return err
		}
		pending, err := numbers(c, "pending")
		if err != nil {
			return err
		}
		return suite.Scan(ctx, suite.ScanOptions{Pending: pending, Consumers: c.Int("consumers"), Looks: c.Int("looks")}, reportOf(c))
	},
}
