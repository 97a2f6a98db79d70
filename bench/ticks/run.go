package ticks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/bar"
	"github.com/streamlease/streamlease/bench/report"
)

// Part is one of the measurements.
type Part string

// The measurements, in their order.
const (
	Loads     Part = "loads"     // each interval with each number of schedules, compared
	Handovers Part = "handovers" // a process is replaced, or killed
	Changing  Part = "changes"   // schedules are edited, triggered, put and deleted
	Declaring Part = "declare"   // schedules are declared again, unchanged
	Many      Part = "many"      // many schedules of one process, which starts
)

// AllParts are all measurements, in their order.
func AllParts() []Part { return []Part{Loads, Handovers, Changing, Declaring, Many} }

// Options say what is measured, and for how long.
type Options struct {
	URL        string // of the Redis; empty: private servers
	Schedules  []int
	Every      []time.Duration
	For        time.Duration // how long each load is measured
	Rounds     int           // how often each load is measured, with each model in turn
	Moved      int           // schedules whose process is replaced or killed
	MovedEvery []time.Duration
	Changed    int // changes of each kind
	Declared   int // schedules that are declared again
	Many       []int
	ManyEvery  time.Duration // of these
	Rest       time.Duration // how long they are measured; 0: for one interval
	SessionTTL time.Duration // 0: the default
	Parts      []Part

	Profiles string // folder for profiles of processor time under each load; empty: none
}

// Result is what was measured.
type Result struct {
	Options   Options
	Cells     []Cell
	Handovers []Handover
	Changes   *Changes
	Declared  *Declared
	Many      []Large
}

// bench is a measurement under way.
type bench struct {
	o      Options
	report *report.Report
	steps  *bar.Bar
	result Result
}

// Run measures. What was measured is reported even where the rest fails. It fails when a tick was lost, or fired by two owners.
func Run(ctx context.Context, o Options, r *report.Report) (err error) {
	b := &bench{o: o, report: r, result: Result{Options: o}}
	b.result.Options.URL = "" // it may have a password
	b.steps = r.Steps("ticks", b.count())
	defer b.steps.End()
	parts := map[Part]func(context.Context) error{
		Loads: b.loads, Handovers: b.handovers, Changing: b.changes, Declaring: b.declare, Many: b.many,
	}
	for _, p := range AllParts() {
		if !b.has(p) {
			continue
		}
		if err = parts[p](ctx); err != nil {
			err = fmt.Errorf("%s: %w", p, err)
			break
		}
	}
	b.steps.End()
	x := b.result
	if ctx.Err() != nil || err != nil && x.empty() {
		return err
	}
	err = errors.Join(err, r.Write(x, func(out io.Writer) { x.write(out) }, x.plots()...))
	return errors.Join(err, x.broken())
}

func (b *bench) has(p Part) bool { return slices.Contains(b.o.Parts, p) }

// count is how many steps there are.
func (b *bench) count() (n int) {
	for p, steps := range map[Part]int{
		Loads:     len(b.o.Schedules) * len(b.o.Every) * b.o.Rounds * len(models),
		Handovers: len(b.o.MovedEvery) * len(ends), Changing: 1, Declaring: 1, Many: len(b.o.Many),
	} {
		if b.has(p) {
			n += steps
		}
	}
	return n
}

func (r Result) empty() bool {
	return len(r.Cells)+len(r.Handovers)+len(r.Many) == 0 && r.Changes == nil && r.Declared == nil
}

// broken is an error if a promise did not hold.
func (r Result) broken() (err error) {
	for _, h := range r.Handovers {
		if h.Faults() > 0 {
			err = errors.Join(err, fmt.Errorf("%s: a promise did not hold: %s", h.name(), strings.Join(h.Named, "; ")))
		}
	}
	if c := r.Changes; c != nil && c.Faults() > 0 {
		err = errors.Join(err, fmt.Errorf("changes: a promise did not hold: %s", strings.Join(c.Named, "; ")))
	}
	return err
}
