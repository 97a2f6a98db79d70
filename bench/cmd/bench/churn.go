package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
)

var churnCommand = &cli.Command{
	Name:  "churn",
	Usage: "announce streams at rising rates, which are owned and done at once, until a rate is too much: latency, and what the limit is",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "rates", Value: "1000,5000,10000,20000,30000,40000,60000,80000,100000", Usage: "streams a second, rising, separated by commas"},
		&cli.DurationFlag{Name: "for", Value: 5 * time.Second, Usage: "how long each rate is measured"},
		&cli.IntFlag{Name: "workers", Usage: "handlers at a time; 0: the default"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		rates, err := numbers(c, "rates")
		if err != nil {
			return err
		}
		if !slices.IsSorted(rates) {
			return fmt.Errorf("-rates: %v are not in rising order", rates)
		}
		d := c.Duration("for")
		if d < 100*time.Millisecond {
			return fmt.Errorf("-for: %v is not at least 100ms", d)
		}
		return suite.Churn(ctx, suite.ChurnOptions{URL: address.Of(c, ""), Rates: rates, For: d, Workers: c.Int("workers")}, reportOf(c))
	},
}
