package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/suite"
	"github.com/streamlease/streamlease/engine"
)

var failoverCommand = &cli.Command{
	Name:  "failover",
	Usage: "kill a pod that holds streams, and shut one down cleanly: time without an owner, cost, and who took over",
	Flags: []cli.Flag{
		&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams that the pod holds"},
		&cli.IntFlag{Name: "pods", Value: 3, Usage: "pods in all, each a process"},
		&cli.DurationFlag{Name: "lease-ttl", Usage: "TTL of a lease; 0: the default"},
		&cli.StringFlag{Name: "session-ttl", Value: engine.DefaultSessionTTL.String() + ",2s", Usage: "TTLs of a session, separated by commas; 0: the default"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := positive(c, "streams"); err != nil {
			return err
		}
		o := suite.FailoverOptions{URL: address.Of(c, ""), Streams: c.Int("streams"), Pods: c.Int("pods"), LeaseTTL: c.Duration("lease-ttl")}
		if o.Pods < 2 {
			return fmt.Errorf("-pods: %d is not at least 2: one ends and others take over", o.Pods)
		}
		var err error
		if o.Sessions, err = durations(c, "session-ttl"); err != nil {
			return err
		}
		return suite.Failover(ctx, o, reportOf(c))
	},
}
