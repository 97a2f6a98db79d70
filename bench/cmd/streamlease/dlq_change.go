package main

import (
	"context"
	"iter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

func selectingLetters() []cli.Flag {
	return selecting("dead letters", &cli.StringFlag{Name: "reason", Usage: "dead letters whose reason begins with this: a class such as crashes, or more"})
}

func (e *env) sendBackLetters() *cli.Command {
	return e.task(task{
		name: "send-back", usage: "requeue dead letters, with their counts of retries and crashes at zero", changes: true,
		flags: selectingLetters(), check: checkSelected,
		do: func(ctx context.Context, c *call) error {
			return c.bulk(ctx, c.letters(bulk{
				done: "sent back", then: "Each is handed out again, with its counts at zero.",
				do: func(ctx context.Context, s scan.Selection) (sent, gone int, err error) {
					sent, err = c.inspector.SendBack(ctx, s)
					return sent, 0, err
				},
				again: "run the same command again for the rest: none is sent back twice",
			}))
		},
	})
}

func (e *env) dropLetters() *cli.Command {
	return e.task(task{
		name: "drop", usage: "delete dead letters for good", changes: true,
		flags: selectingLetters(), check: checkSelected,
		do: func(ctx context.Context, c *call) error {
			return c.bulk(ctx, c.letters(bulk{
				done: "deleted", then: "That cannot be undone.",
				do: func(ctx context.Context, s scan.Selection) (dropped, gone int, err error) {
					dropped, err = c.inspector.Drop(ctx, s)
					return dropped, 0, err
				},
				again: "run the same command again for the rest; it deletes, too, what has become a dead letter since",
			}))
		},
	})
}

// letter is a dead letter in the JSON of a change.
type letter struct {
	stream
	Partition int        `json:"partition"`
	ID        string     `json:"id"`
	Reason    string     `json:"reason"`
	At        *time.Time `json:"at"`
}

// letters returns a bulk that is about dead letters.
func (c *call) letters(b bulk) *bulk {
	b.one = "dead letter"
	b.head = []any{">PARTITION", "ID", "STREAM", "REASON", "SINCE"}
	b.left = func(l *scan.Backlog) int { return l.DeadLetters }
	b.each = func(ctx context.Context, s scan.Selection) iter.Seq2[item, error] {
		now := c.clock(ctx)
		return items(c.inspector.Letters(ctx, s), func(l *scan.DeadLetter) item {
			return item{
				partition: l.Partition, id: l.ID,
				row:    []any{l.Partition, l.ID, named(l.Stream), shortened(l.Reason, longest), relative(l.At, now)},
				object: letter{streamOf(l.Stream), l.Partition, l.ID, l.Reason, stamp(l.At)},
			}
		})
	}
	return &b
}

// items converts what an inspector yields.
func items[T any](all iter.Seq2[T, error], convert func(*T) item) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for x, err := range all {
			var i item
			if err == nil {
				i = convert(&x)
			}
			if !yield(i, err) {
				return
			}
		}
	}
}
