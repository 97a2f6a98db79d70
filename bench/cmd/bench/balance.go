package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/balance"
	"github.com/streamlease/streamlease/bench/pod"
)

var balanceCommand = &cli.Command{
	Name:  "balance",
	Usage: "add, drain, kill and replace processes that share streams: how soon shares are even, how often streams move, and what that costs",
	Flags: []cli.Flag{
		&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams that are shared"},
		&cli.IntFlag{Name: "processes", Value: 4, Usage: "processes of the fleet"},
		partsFlag(balance.AllParts()),
		&cli.StringFlag{Name: "balance", Usage: "what of the balance is on: on, off or gate; empty: as engines have it by default"},
		&cli.DurationFlag{Name: "step", Value: 15 * time.Second, Usage: "time between two replacements of a rolling deploy"},
		&cli.DurationFlag{Name: "within", Value: 3 * time.Minute, Usage: "how long shares may take to become even"},
		&cli.DurationFlag{Name: "stay", Value: 10 * time.Second, Usage: "how long shares have to stay even"},
		&cli.DurationFlag{Name: "rest", Value: 10 * time.Minute, Usage: "how long streams end and come again while nothing else happens, and while a process dies again and again"},
		&cli.DurationFlag{Name: "for", Value: 2 * time.Second, Usage: "how long each load of announcements lasts"},
		&cli.IntFlag{Name: "rounds", Value: 10, Usage: "how often each load is measured, with and without the balance in turn"},
		&cli.StringFlag{Name: "old", Usage: "an earlier build of this program, with whose beats those with the balance are compared; empty: with those without"},
		&cli.StringFlag{Name: "profiles", Usage: "folder for profiles of processes that are there when others are added, drained or killed, for go tool pprof; empty: none"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) (err error) {
		if err := positive(c, "streams", "rounds"); err != nil {
			return err
		}
		o := balance.Options{
			URL: address.Of(c, ""), Streams: c.Int("streams"), Processes: c.Int("processes"), Step: c.Duration("step"), Within: c.Duration("within"),
			Stay: c.Duration("stay"), Rest: c.Duration("rest"), For: c.Duration("for"), Rounds: c.Int("rounds"),
			Profiles: c.String("profiles"),
		}
		if o.Processes < 2 {
			return fmt.Errorf("-processes: %d is not at least 2: one alone shares with nobody", o.Processes)
		}
		if o.Streams < o.Processes {
			return fmt.Errorf("-streams: %d is not at least that of processes, %d", o.Streams, o.Processes)
		}
		for _, name := range []string{"step", "within", "stay", "rest", "for"} {
			if err := between(c, name, 100*time.Millisecond, 24*time.Hour); err != nil {
				return err
			}
		}
		if o.Balance, err = pod.ParseBalance(c.String("balance")); err != nil {
			return fmt.Errorf("-balance: %w", err)
		}
		if o.Old, err = build(c); err != nil {
			return err
		}
		if o.Parts, err = parts(c, balance.AllParts()); err != nil {
			return err
		}
		return balance.Run(ctx, o, reportOf(c))
	},
}

// build is the path in -old.
func build(c *cli.Command) (path string, err error) {
	if path = c.String("old"); path == "" {
		return "", nil
	}
	if path, err = exec.LookPath(path); err != nil {
		err = fmt.Errorf("-old: %w", err)
	}
	return path, err
}
