package main

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

func (e *env) laterList() *cli.Command {
	return e.task(task{
		name: "list", usage: "list what is delayed, the first due first", do: laterList, check: checkFilters,
		flags: filters("delayed announcements"),
		description: "An announcement is delayed if its producer set a time, its handler snoozed it or failed, its owner died, or too many of its\n" +
			"stream were waiting. RETRIES are failures, CRASHES are deaths of owners.",
	})
}

// delayed is a delayed announcement in JSON.
type delayed struct {
	stream
	Partition int             `json:"partition"`
	ID        string          `json:"id"`
	Due       *time.Time      `json:"due"`
	Retries   int             `json:"retries"`
	Crashes   int             `json:"crashes"`
	Size      int             `json:"size_bytes"`
	Info      json.RawMessage `json:"info"`
}

func delayedOf(d *scan.Delayed) delayed {
	return delayed{streamOf(d.Stream), d.Partition, d.ID, stamp(d.Due), d.Retries, d.Crashes, d.Size, infoOf(d.Info)}
}

func laterList(ctx context.Context, c *call) error {
	s, err := c.selected(ctx)
	if err != nil {
		return err
	}
	partitions, total, err := c.populated(ctx, func(b *scan.Backlog) int { return b.Later })
	if err != nil {
		return err
	}
	found, more, err := first(ctx, s, partitions, c.cmd.Int("limit"), c.inspector.DelayedPage, func(a, b scan.Delayed) int {
		return cmp.Or(a.Due.Compare(b.Due), byID(a.Partition, b.Partition, a.ID, b.ID))
	})
	all, now := make([]delayed, len(found)), c.clock(ctx)
	l := &listing{head: []any{"due", "stream", ">retries", ">crashes", ">partition", "id"}, none: "Nothing is delayed."}
	for n, d := range found {
		all[n] = delayedOf(&d)
		due := any(relative(d.Due, now))
		if d.Due.Before(now) {
			due = toned{warn, due}
		}
		l.row(due, named(d.Stream), unless0(warn, d.Retries), unless0(bad, d.Crashes), d.Partition, d.ID)
	}
	l.foot = []any{"", shown(len(found), total, more, "delayed announcement")}
	if err := cmp.Or(c.list(all, l), err); err != nil {
		return err
	}
	if len(found) == 0 {
		if narrowed(s) {
			return nothing("nothing of what is delayed matches")
		}
		return nil
	}
	c.hint("Next: streamlease later bring-forward -stream NAME hands it out now; later cancel deletes it.")
	return nil
}
