package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
)

var pipelineCommand = &cli.Command{
	Name:  "pipeline",
	Usage: "hold streams with batches and ticks of several sizes: cost of renewals, and how long PING and GET of another tenant take",
	Flags: []cli.Flag{
		&cli.IntFlag{Name: "streams", Value: 100_000, Usage: "streams that one process holds"},
		&cli.DurationFlag{Name: "lease-ttl", Usage: "TTL of a lease; 0: the default"},
		&cli.StringFlag{Name: "batches", Value: "16,64,256,512,1000", Usage: "leases a script, separated by commas; each with the default tick"},
		&cli.StringFlag{Name: "ticks", Value: "10ms,100ms,500ms", Usage: "resolutions of renewals, separated by commas; each with the default batch"},
		&cli.DurationFlag{Name: "for", Value: 5 * time.Second, Usage: "how long each is measured"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := positive(c, "streams"); err != nil {
			return err
		}
		o := suite.PipelineOptions{URL: address.Of(c, ""), Streams: c.Int("streams"), LeaseTTL: c.Duration("lease-ttl"), For: c.Duration("for")}
		if o.For < 100*time.Millisecond {
			return fmt.Errorf("-for: %v is not at least 100ms", o.For)
		}
		var err error
		if o.Batches, err = numbers(c, "batches"); err != nil {
			return err
		}
		o.Ticks, err = durations(c, "ticks")
		if err != nil {
			return err
		}
		return suite.Pipeline(ctx, o, reportOf(c))
	},
}
