package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

func (e *env) holdings() *cli.Command {
	return e.task(task{
		name: "holdings", usage: "list what a consumer holds, and what is pending for it otherwise", args: "CONSUMER", least: 1, most: 1, do: holdings,
		flags: []cli.Flag{limitFlag()},
		description: "CONSUMER is the name of a run, as streamlease consumers lists it, or a consumer ID for all of its runs. What is not held was\n" +
			"just read, or waits for its stream.",
	})
}

// holding is what is pending for a consumer in JSON.
type holding struct {
	stream
	Consumer  string     `json:"consumer"`
	Partition int        `json:"partition"`
	Entry     string     `json:"entry"`
	Held      bool       `json:"held"`
	Idle      float64    `json:"idle_seconds"` // since it was acquired, or read
	Token     api.Token  `json:"token"`
	Until     *time.Time `json:"until"`
}

func holdings(ctx context.Context, c *call) error {
	who := c.cmd.Args().First()
	names, pending, err := c.runsNamed(ctx, who)
	if err != nil {
		return err
	}
	all, most, more := []holding{}, c.cmd.Int("limit"), false
	l := &listing{
		head: []any{"stream", "held", "since", "lease ends", ">token", ">partition", "entry", "consumer"},
		none: "Nothing is pending for " + named(who) + ".",
	}
	now, held := c.clock(ctx), 0
	for _, name := range names {
		if more = most > 0 && len(all) >= most; more {
			break
		}
		found, rest, err := pages(max(most-len(all), 0), func(cursor string, count int) ([]scan.Holding, string, error) {
			return c.inspector.HoldingsPage(ctx, name, cursor, count)
		})
		if err != nil {
			return err
		}
		more = more || rest
		for _, h := range found {
			all = append(all, holding{streamOf(h.Stream), name, h.Partition, h.Entry, h.Held, seconds(h.Idle), h.Token, stamp(h.Until)})
			l.row(holdingCells(&h, name, now)...)
			if h.Held {
				held++
			}
		}
	}
	l.foot = []any{shown(len(all), pending, more, "announcement"), number(held) + " held"}
	if err := c.list(all, l); err != nil {
		return err
	}
	if len(all) > 0 {
		c.hint("Next: streamlease owners STREAM tells all of one stream.")
	}
	return nil
}

func holdingCells(h *scan.Holding, consumer string, now time.Time) []any {
	held := any(toned{good, "held"})
	if !h.Held {
		held = toned{warn, "read"}
	}
	return []any{named(h.Stream), held, span(h.Idle) + " ago", relative(h.Until, now), tokenText(h.Token), h.Partition, h.Entry, named(consumer)}
}

// runsNamed returns the names of the run that is meant, or of all runs with that consumer ID, and how much is pending for them.
func (c *call) runsNamed(ctx context.Context, who string) (names []string, pending int, err error) {
	found, err := c.inspector.Consumers(ctx)
	if err != nil {
		return nil, 0, err
	}
	runs := runsOf(found)
	if n := slices.IndexFunc(runs, func(r *consumerRun) bool { return r.Name == who }); n >= 0 {
		return []string{who}, runs[n].Pending, nil
	}
	for _, r := range runs {
		if r.ConsumerID == who {
			names, pending = append(names, r.Name), pending+r.Pending
		}
	}
	if len(names) == 0 {
		return nil, 0, nothing("no consumer is called %s; streamlease consumers lists them", cmp.Or(named(who), dash))
	}
	return names, pending, nil
}
