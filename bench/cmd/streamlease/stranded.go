package main

import (
	"context"
	"iter"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

// strandedHelp explains the word.
const strandedHelp = "An announcement is stranded if it is neither pending nor undelivered, so that no consumer ever gets it:\n" +
	"somebody acknowledged it by hand (XACK), or removed a consumer with everything that was pending for it\n" +
	"(XGROUP DELCONSUMER), and its owner died before it noticed."

func (e *env) stranded() *cli.Command {
	return group("stranded", "announcements that no consumer would ever get", e.listStranded(), e.reannounce())
}

func (e *env) listStranded() *cli.Command {
	return e.task(task{
		name: "list", usage: "list stranded announcements", description: strandedHelp,
		flags: []cli.Flag{
			&cli.StringFlag{Name: "stream", Usage: "those of this data stream"},
			&cli.IntSliceFlag{Name: "partition", Usage: "those in this partition; may be repeated"},
			limitFlag(),
		},
		check: func(c *cli.Command) error {
			if c.IsSet("stream") && c.String("stream") == "" {
				return usage("-stream is empty; leave it out for all")
			}
			return nil
		},
		do: func(ctx context.Context, c *call) error {
			s, err := c.selected(ctx)
			if err != nil {
				return err
			}
			b := c.strandedBulk(bulk{})
			l, objects, limit, more := listing{head: b.head, none: "Nothing is stranded."}, []any{}, c.cmd.Int("limit"), false
			for i, err := range b.each(ctx, s) {
				if err != nil {
					return err
				}
				if more = limit > 0 && len(objects) == limit; more {
					break
				}
				objects = append(objects, i.object)
				l.row(i.row...)
			}
			l.foot = []any{"", counted(len(objects), b.one) + orMore(more)}
			return c.list(objects, &l)
		},
	})
}

func (e *env) reannounce() *cli.Command {
	return e.task(task{
		name: "reannounce", usage: "requeue stranded announcements", description: strandedHelp, changes: true,
		flags: selecting("stranded announcements"), check: checkSelected,
		do: func(ctx context.Context, c *call) error {
			return c.bulk(ctx, c.strandedBulk(bulk{
				done: "reannounced", then: "Each is handed out again, with its counts unchanged.",
				do: func(ctx context.Context, s scan.Selection) (moved, gone int, err error) {
					moved, err = c.inspector.Reannounce(ctx, s)
					return moved, 0, err
				},
				again: "run the same command again for the rest: none is moved twice",
			}))
		},
	})
}

// strand is a stranded announcement in JSON.
type strand struct {
	stream
	Partition int    `json:"partition"`
	ID        string `json:"id"`
	Retries   int    `json:"retries"`
	Crashes   int    `json:"crashes"`
}

// strandedBulk returns a bulk that is about stranded announcements.
func (c *call) strandedBulk(b bulk) *bulk {
	b.one = "stranded announcement"
	b.head = []any{">PARTITION", "ID", "STREAM", ">RETRIES", ">CRASHES"}
	b.each = func(ctx context.Context, s scan.Selection) iter.Seq2[item, error] {
		return items(c.inspector.Stranded(ctx, s), func(x *scan.Stranded) item {
			return item{
				partition: x.Partition, id: x.ID,
				row:    []any{x.Partition, x.ID, named(x.Stream), x.Retries, x.Crashes},
				object: strand{streamOf(x.Stream), x.Partition, x.ID, x.Retries, x.Crashes},
			}
		})
	}
	return &b
}
