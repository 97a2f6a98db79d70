package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// shownExamples is how many of the items that a change is about it shows before it asks.
const shownExamples = 5

// bulk is a change of all items that a selection selects.
type bulk struct {
	one  string // what an item is: dead letter
	done string // what becomes of it, as in "is deleted"
	then string // a sentence on what that means
	head []any  // of a table of items

	each func(ctx context.Context, s scan.Selection) iter.Seq2[item, error]
	do   func(ctx context.Context, s scan.Selection) (changed, gone int, err error)

	gone  string                  // why an item may no longer be what it was: "had been handed out"
	left  func(*scan.Backlog) int // how many items a partition has; nil: that is not known
	again string                  // what it means to run the command again after a call without an answer
}

// item is one of those that a selection selects.
type item struct {
	partition int
	id        string
	row       []any // of a table
	object    any   // in JSON
}

// bulkOutcome is what a bulk did, in JSON.
type bulkOutcome struct {
	outcome
	Matched  int   `json:"matched"`
	Changed  int   `json:"changed"`
	Gone     int   `json:"gone"`
	Examples []any `json:"examples"`
}

// found is what a selection selects.
type found struct {
	total    int
	by       map[int]int // by partition
	examples []item
}

// bulk counts what the flags select, shows examples, asks, and does it.
func (c *call) bulk(ctx context.Context, b *bulk) error {
	s, err := c.selected(ctx)
	if err != nil {
		return err
	}
	f, err := c.find(ctx, b, s)
	if err != nil {
		return err
	}
	result := bulkOutcome{Matched: f.total, Examples: []any{}}
	for _, e := range f.examples {
		result.Examples = append(result.Examples, e.object)
	}
	if f.total == 0 {
		err := nothing("no %s is selected, nothing was changed", b.one)
		result.outcome = c.outcome(err)
		return c.report(result, err)
	}
	c.describe(b, f)
	word := c.service
	if f.total == 1 {
		word, s.Partitions, s.ID = single, []int{f.examples[0].partition}, f.examples[0].id // what has come since is another one
	}
	goOn, err := c.confirm(ctx, word)
	if err != nil {
		return err
	}
	if goOn {
		result.Changed, result.Gone, err = c.change(ctx, b, s, f)
		c.conclude(b, &result)
	}
	result.outcome = c.outcome(err)
	return c.report(result, err)
}

// find counts what a selection selects.
func (c *call) find(ctx context.Context, b *bulk, s scan.Selection) (*found, error) {
	partitions, err := c.inspector.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	steps := c.steps("looking", partitions)
	defer steps.end()
	f := &found{by: make(map[int]int)}
	for e, err := range b.each(ctx, s) {
		if err != nil {
			return nil, err
		}
		f.total++
		f.by[e.partition]++
		if len(f.examples) < shownExamples {
			f.examples = append(f.examples, e)
		}
		steps.at(e.partition, partitions, "%s so far", counted(f.total, b.one))
	}
	return f, nil
}

// describe writes what a change is about to do.
func (c *call) describe(b *bulk, f *found) {
	will := "will"
	if c.cmd.Bool("dry-run") {
		will = "would"
	}
	if c.tell("%s %s be %s. %s", counted(f.total, b.one), will, b.done, b.then); c.json {
		return
	}
	l := listing{head: b.head}
	for _, e := range f.examples {
		l.row(e.row...)
	}
	fmt.Fprintln(c.out, c.render(&l))
	if more := f.total - len(f.examples); more > 0 {
		c.tell("and %s more", number(more))
	}
}

// conclude writes what a change has done.
func (c *call) conclude(b *bulk, o *bulkOutcome) {
	c.tell("%s %s %s.", counted(o.Changed, b.one), verb(o.Changed, "was", "were"), b.done)
	if o.Gone > 0 {
		c.tell("%s %s.", counted(o.Gone, b.one), b.gone)
	}
}

// change does it, partition by partition. What cannot be changed keeps nothing else from it; what concerns more than one item ends it.
func (c *call) change(ctx context.Context, b *bulk, s scan.Selection, f *found) (changed, gone int, err error) {
	steps := c.steps(b.done, f.total)
	defer steps.end()
	var failed []error
	for _, p := range slices.Sorted(maps.Keys(f.by)) {
		steps.at(changed+gone, f.total, "partition %d", p)
		stop := c.follow(ctx, b, f.by[p], p, func(n int) { steps.at(min(changed+gone+n, f.total), f.total, "partition %d", p) })
		s.Partitions = []int{p}
		n, missing, err := b.do(ctx, s)
		stop()
		changed, gone = changed+n, gone+missing
		if err != nil {
			failed = append(failed, err)
		}
		if _, refused := lease.Refusal(err); refused || unanswered(err) {
			break
		}
	}
	if err = errors.Join(failed...); unanswered(err) {
		err = errors.Join(err, fmt.Errorf("some may have been %s all the same; %s", b.done, b.again))
	}
	return changed, gone, err
}
