package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/soak/firing"
)

// soakTicksCommand is the part of the soak that fires ticks.
var soakTicksCommand = &cli.Command{
	Name:  "ticks",
	Usage: "have troubles strike processes that fire ticks, and a private cluster, while schedules are edited: lost, fired by an owner that was replaced, repeated without reason, edits that are not in force",
	Flags: stormFlags("fire ticks",
		&cli.IntFlag{Name: "schedules", Value: 1_000, Usage: "schedules, most of them of 1 s and 15 s"},
		&cli.FloatFlag{Name: "changes", Value: 5, Usage: "edits, pauses, triggers, deletions a second, on average"},
	),
	Action: func(ctx context.Context, c *cli.Command) error {
		if address.Given(c) {
			return errors.New("-redis: its troubles kill servers, so it starts a private cluster")
		}
		o, err := stormOptions(c)
		if err != nil {
			return err
		}
		if err := positive(c, "schedules"); err != nil {
			return err
		}
		if n := c.Float("changes"); !(n > 0 && n <= 1000) {
			return fmt.Errorf("-changes: %v is not above 0 and at most 1,000", n)
		}
		return firing.Run(ctx, firing.Options{Options: o, Schedules: c.Int("schedules"), Changes: c.Float("changes")}, reportOf(c))
	},
}
