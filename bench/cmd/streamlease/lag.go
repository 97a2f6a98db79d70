package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

func (e *env) lag() *cli.Command {
	return e.task(task{
		name: "lag", usage: "what waits, by partition; or how far streams have come", args: "[stream...]", most: -1, do: lag,
		description: "LAG is how many announcements no consumer was given yet; with ≈ it is an estimate. PENDING were given to consumers and are\n" +
			"not done. STRANDED are neither, so that nobody ever gets them: streamlease stranded lists them, and reannounces them.\n\n" +
			"With names of streams that a feed reads: up to which message each was handled, and how many have come since. They are counted\n" +
			"where that is cheap; else ≈ marks an estimate from the IDs.",
	})
}

// backlog is what waits in a partition.
type backlog struct {
	Partition     int        `json:"partition"`
	At            *time.Time `json:"at"`
	Length        int        `json:"length"`
	Lag           int        `json:"lag"`
	LagBy         string     `json:"lag_by"`
	LagExact      bool       `json:"lag_exact"`
	Pending       int        `json:"pending"`
	OldestWaiting float64    `json:"oldest_waiting_seconds"`
	OldestPending float64    `json:"oldest_pending_seconds"`
	Delayed       int        `json:"delayed"`
	Due           int        `json:"due"`
	DeadLetters   int        `json:"dead_letters"`
	Stranded      *int       `json:"stranded"` // null: unknown, since the lag is an estimate
	WithoutBody   *int       `json:"without_body"`
	Consumers     int        `json:"consumers"`
}

func backlogOf(b *scan.Backlog) backlog {
	return backlog{
		Partition: b.Partition, At: stamp(b.At), Length: b.Length, Lag: b.Lag, LagBy: string(b.LagBy), LagExact: b.LagBy.Exact(), Pending: b.Pending,
		OldestWaiting: seconds(b.OldestWaiting), OldestPending: seconds(b.OldestPending), Delayed: b.Later, Due: b.Due,
		DeadLetters: b.DeadLetters, Stranded: known(b.Stranded), WithoutBody: known(b.WithoutBody), Consumers: b.Consumers,
	}
}

// known returns nil for a number that is not known.
func known(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}

func lag(ctx context.Context, c *call) error {
	if c.cmd.Args().Present() {
		return streamLags(ctx, c, c.cmd.Args().Slice())
	}
	found, err := c.inspector.Backlog(ctx)
	if err != nil && found == nil {
		return err
	}
	all := make([]backlog, len(found))
	l := &listing{head: []any{
		">partition", ">announced", ">lag", "oldest waiting", ">pending", "oldest pending", ">delayed", ">due", ">dead letters", ">stranded", ">no body",
	}}
	for n, b := range found {
		all[n] = backlogOf(&b)
		l.row(append([]any{b.Partition}, backlogCells(&b)...)...)
	}
	total := totalOf(found)
	l.foot = append([]any{"all"}, backlogCells(&total)...)
	if err1 := c.list(all, l); err1 != nil {
		return err1
	}
	if left, err1 := c.inspector.Leftovers(ctx); err1 == nil {
		for _, p := range slices.Sorted(maps.Keys(left)) {
			fmt.Fprintf(c.errs, "Partition %d is beyond the number of partitions and has %d items that nobody reads: a producer used another number. "+
				"streamlease repartition moves them.\n", p, left[p])
		}
	} else {
		err = errors.Join(err, err1)
	}
	if total.Lag > 0 && err == nil {
		c.hint("Next: streamlease top tells whether anybody takes what waits.")
	}
	return err
}

func backlogCells(b *scan.Backlog) []any {
	return []any{
		b.Length, lagText(b), waited(b.OldestWaiting), b.Pending, waited(b.OldestPending), b.Later,
		unless0(warn, b.Due), unless0(bad, b.DeadLetters), orUnknown(b.Stranded), orUnknown(b.WithoutBody),
	}
}

// lagText is a lag, with a mark if it is an estimate.
func lagText(b *scan.Backlog) string {
	if b.LagBy.Exact() {
		return number(b.Lag)
	}
	return "≈ " + number(b.Lag)
}

// unless0 is a number with a tone if it is not 0.
func unless0(t tone, n int) any {
	if n == 0 {
		return n
	}
	return toned{t, n}
}

// orUnknown is the number of what there should not be.
func orUnknown(n int) any {
	if n < 0 {
		return "?"
	}
	return unless0(bad, n)
}

// totalOf adds up backlogs. A number that is unknown in one is unknown.
func totalOf(all []scan.Backlog) (t scan.Backlog) {
	t.LagBy = scan.LagCounted
	for _, b := range all {
		t.Length, t.Lag, t.Pending, t.Later = t.Length+b.Length, t.Lag+b.Lag, t.Pending+b.Pending, t.Later+b.Later
		t.Due, t.DeadLetters = t.Due+b.Due, t.DeadLetters+b.DeadLetters
		t.OldestPending, t.OldestWaiting = max(t.OldestPending, b.OldestPending), max(t.OldestWaiting, b.OldestWaiting)
		if !b.LagBy.Exact() {
			t.LagBy = b.LagBy
		}
		if t.Stranded, t.WithoutBody = t.Stranded+b.Stranded, t.WithoutBody+b.WithoutBody; b.Stranded < 0 {
			t.Stranded, t.WithoutBody = -1<<30, -1<<30
		}
		if b.At.After(t.At) {
			t.At = b.At
		}
	}
	return t
}
