package main

import (
	"context"
	"iter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

func (e *env) bringForward() *cli.Command {
	return e.task(task{
		name: "bring-forward", usage: "hand out now what is delayed, whatever it was delayed for", changes: true,
		flags: selecting("delayed announcements"), check: checkSelected,
		do: func(ctx context.Context, c *call) error {
			return c.bulk(ctx, c.delayed(bulk{
				done: "brought forward", then: "Each is handed out now, with its counts unchanged.",
				do:    c.inspector.BringForward,
				again: "run the same command again for the rest: none is handed out twice",
			}))
		},
	})
}

func (e *env) cancelDelayed() *cli.Command {
	return e.task(task{
		name: "cancel", usage: "delete for good what is delayed", changes: true,
		flags: selecting("delayed announcements"), check: checkSelected,
		do: func(ctx context.Context, c *call) error {
			return c.bulk(ctx, c.delayed(bulk{
				done: "cancelled", then: "Each is deleted, and never handed out. What is owned or waits in the input stream is not touched.",
				do:    c.inspector.CancelDelayed,
				again: "run the same command again for the rest; it cancels, too, what has been delayed since",
			}))
		},
	})
}

// late is a delayed announcement in the JSON of a change.
type late struct {
	stream
	Partition int        `json:"partition"`
	ID        string     `json:"id"`
	Due       *time.Time `json:"due"`
	Retries   int        `json:"retries"`
	Crashes   int        `json:"crashes"`
}

// delayed returns a bulk that is about delayed announcements.
func (c *call) delayed(b bulk) *bulk {
	b.one = "delayed announcement"
	b.gone = "had been handed out before that, since they were due, or somebody else changed them"
	b.head = []any{">PARTITION", "ID", "STREAM", "DUE", ">RETRIES", ">CRASHES"}
	b.left = func(l *scan.Backlog) int { return l.Later }
	b.each = func(ctx context.Context, s scan.Selection) iter.Seq2[item, error] {
		now := c.clock(ctx)
		return items(c.inspector.Delayed(ctx, s), func(d *scan.Delayed) item {
			return item{
				partition: d.Partition, id: d.ID,
				row:    []any{d.Partition, d.ID, named(d.Stream), relative(d.Due, now), d.Retries, d.Crashes},
				object: late{streamOf(d.Stream), d.Partition, d.ID, stamp(d.Due), d.Retries, d.Crashes},
			}
		})
	}
	return &b
}
