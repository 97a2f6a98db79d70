package messages

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/bar"
	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
)

// Options say what is measured.
type Options struct {
	URL     string // of the Redis; empty: private servers
	Streams []int
	Rates   []int // messages a second
	Spreads []load.Spread
	For     time.Duration // how long each load is measured
	Rest    time.Duration // how long streams are measured to which nothing is added
	Rounds  int           // how often each model is measured under each load, in turn
	Most    int           // messages a second that are too many, for the rate that is sustained; 0: not measured
	Backlog int           // messages that wait when a reader comes, in all streams together
	Parts   []Part

	Profiles string // folder for profiles of the readers: processor time under each load, heap; empty: none
}

// Part is one of the measurements.
type Part string

// The measurements.
const (
	Loads    Part = "loads"    // each rate and spread on each number of streams
	Idling   Part = "idle"     // streams to which nothing is added
	Backlogs Part = "backlog"  // messages that wait when a reader comes
	Tracking Part = "tracking" // more streams than the server's table for tracking has room for
	Hanging  Part = "hung"     // one master of a cluster that does not answer
	Leaving  Part = "leaving"  // a process that hands back what it owns
	Storing  Part = "checkpoints"
)

// AllParts are all measurements, in their order.
func AllParts() []Part { return []Part{Loads, Idling, Backlogs, Leaving, Tracking, Hanging, Storing} }

// Result is what was measured.
type Result struct {
	Options     Options
	Cells       []Cell
	Idle        []Idle
	Backlogs    []Backlog
	Leaves      []Leave
	Tracking    []Tracked
	Hung        *Hung
	Checkpoints *CheckpointCosts
	Left        []string // what was not measured, and why
}

// bench is a measurement under way.
type bench struct {
	o      Options
	report *report.Report
	steps  *bar.Bar
	result Result
	refuse map[int]string // why a server that is not ours takes no connection for each of so many streams
}

// Run measures. What was measured is reported even where the rest fails.
func Run(ctx context.Context, o Options, r *report.Report) (err error) {
	b := &bench{o: o, report: r, result: Result{Options: o}, refuse: make(map[int]string)}
	b.result.Options.URL = "" // it may have a password
	if err := b.look(ctx); err != nil {
		return err
	}
	b.steps = r.Steps("feed", b.count())
	defer b.steps.End()
	parts := map[Part]func(context.Context) error{
		Loads: b.loads, Idling: b.idles, Backlogs: b.backlogs, Leaving: b.leaves, Tracking: b.tracking, Hanging: b.hanging, Storing: b.checkpoints,
	}
	for _, p := range AllParts() {
		if !slices.Contains(o.Parts, p) {
			continue
		}
		if err = parts[p](ctx); err != nil {
			break
		}
	}
	b.steps.End()
	if ctx.Err() != nil {
		return err
	}
	x := b.result
	return errorsAfter(r.Write(x, func(out io.Writer) { x.write(out) }, x.plots()...), err)
}

// errorsAfter is the error of the measurement, or else that of the report.
func errorsAfter(reported, measured error) error {
	if measured != nil {
		return measured
	}
	return reported
}

// look asks a server that is not ours what it takes.
func (b *bench) look(ctx context.Context) (err error) {
	if b.o.URL == "" {
		return nil
	}
	t, err := target.Open(ctx, b.o.URL)
	if err != nil {
		return err
	}
	for _, n := range b.o.Streams {
		b.refuse[n] = refuses(ctx, t, n)
	}
	return t.Close()
}

// without says why streams cannot be read by Blocking; empty: they can.
func (b *bench) without(streams int) string {
	if why := impossible(streams); why != "" {
		return why
	}
	return b.refuse[streams]
}

// models is how many models can have so many streams.
func (b *bench) models(streams int, models ...Model) (n int) {
	for _, m := range models {
		if m != Blocking || b.without(streams) == "" {
			n++
		}
	}
	return n
}

// count is how many steps there are.
func (b *bench) count() (n int) {
	for _, s := range b.o.Streams {
		if slices.Contains(b.o.Parts, Loads) {
			n += b.models(s, None, Blocking, Feed) * b.o.Rounds * len(b.loadsOf())
		}
		if slices.Contains(b.o.Parts, Idling) {
			n += b.models(s, None, Owned, Blocking, Feed)
		}
		if slices.Contains(b.o.Parts, Backlogs) {
			n += b.models(s, Blocking, Feed) * b.o.Rounds
		}
		if slices.Contains(b.o.Parts, Leaving) {
			n += len(leavers) * b.o.Rounds
		}
	}
	if slices.Contains(b.o.Parts, Tracking) {
		n += len(shares)
	}
	for _, p := range []Part{Hanging, Storing} {
		if slices.Contains(b.o.Parts, p) {
			n++
		}
	}
	return n
}

// loadOf is one load.
type loadOf struct {
	rate   int
	spread load.Spread
}

// loadsOf are the loads on each number of streams: those asked for, and the one that is too much.
func (b *bench) loadsOf() (all []loadOf) {
	for _, spread := range b.o.Spreads {
		for _, rate := range b.o.Rates {
			all = append(all, loadOf{rate, spread})
		}
	}
	if b.o.Most > 0 {
		all = append(all, loadOf{b.o.Most, load.Even})
	}
	return all
}

func (b *bench) loads(ctx context.Context) error {
	for _, n := range b.o.Streams {
		for _, l := range b.loadsOf() {
			c, err := b.cell(ctx, n, l.rate, l.spread)
			if err != nil {
				return err
			}
			b.result.Cells = append(b.result.Cells, c)
		}
	}
	return nil
}

func (b *bench) idles(ctx context.Context) error {
	for _, n := range b.o.Streams {
		i, err := b.idle(ctx, n)
		b.result.Idle = append(b.result.Idle, i...)
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) backlogs(ctx context.Context) error {
	for _, n := range b.o.Streams {
		g, err := b.backlog(ctx, n)
		if err != nil {
			return err
		}
		b.result.Backlogs = append(b.result.Backlogs, g)
	}
	return nil
}

// leave notes what is not measured.
func (b *bench) leave(part Part, why string) {
	b.result.Left = append(b.result.Left, fmt.Sprintf("%s: %s", part, why))
}
