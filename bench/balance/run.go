package balance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/bar"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/report"
)

// Part is one of the measurements.
type Part string

// The measurements, in their order. Scale, drain and kill follow each other on one scene, where all of them are measured.
const (
	Scale  Part = "scale"  // one process holds all streams, and others start
	Drain  Part = "drain"  // one of them shuts down
	Kill   Part = "kill"   // one of them is killed
	Deploy Part = "deploy" // all are replaced, one after the other
	Cold   Part = "cold"   // all start at once, and all streams wait
	Steady Part = "steady" // nothing happens but that streams end and come again
	Flap   Part = "flap"   // likewise, beside a process that dies again and again, with the balance and without
	Beats  Part = "beats"  // nothing happens at all, with the balance and without
	Added  Part = "added"  // streams are announced, with the balance and without
)

// AllParts are all measurements, in their order.
func AllParts() []Part { return []Part{Scale, Drain, Kill, Deploy, Cold, Steady, Flap, Beats, Added} }

// Options say what is measured, and for how long.
type Options struct {
	URL       string // of the Redis; empty: private servers
	Streams   int
	Processes int // of the fleet; at least 2
	Parts     []Part
	Balance   pod.Balance   // of the processes, where it is not compared
	Step      time.Duration // from one replacement of a rolling deploy to the next
	Within    time.Duration // how long shares may take to become even
	Stay      time.Duration // how long they have to be even, to count as such
	Rest      time.Duration // of the steady fleet, of the one beside a process that dies, and of the beats
	For       time.Duration // how long each load of announcements lasts
	Old       string        // path of an earlier build of this program, of which another fleet beats; empty: none
	Profiles  string        // folder for profiles of the processes that change; empty: none
	Rounds    int           // of each such load, with the balance and without in turn
}

// Result is what was measured.
type Result struct {
	Options Options
	Changes []Change
	Steady  *Calm
	Flap    *Flaps
	Beats   *BeatCosts
	Added   []Arrival
	Left    []string // what was not measured, and why
}

// bench is a measurement under way.
type bench struct {
	o      Options
	report *report.Report
	steps  *bar.Bar
	result Result
}

// Run measures. What was measured is reported even where the rest fails. It fails when a stream was lost or had two owners.
func Run(ctx context.Context, o Options, r *report.Report) (err error) {
	b := &bench{o: o, report: r, result: Result{Options: o}}
	b.result.Options.URL = "" // it may have a password
	b.steps = r.Steps("balance", len(o.Parts))
	defer b.steps.End()
	for _, do := range []struct {
		parts []Part
		run   func(context.Context) error
	}{
		{[]Part{Scale, Drain, Kill}, b.changes}, {[]Part{Deploy}, b.deploy}, {[]Part{Cold}, b.cold}, {[]Part{Steady}, b.steady}, {[]Part{Flap}, b.flap},
		{[]Part{Beats}, b.beats}, {[]Part{Added}, b.added},
	} {
		if !slices.ContainsFunc(do.parts, b.has) {
			continue
		}
		if err = do.run(ctx); err != nil {
			err = fmt.Errorf("%s: %w", strings.Trim(fmt.Sprint(do.parts), "[]"), err)
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

func (r Result) empty() bool {
	return len(r.Changes)+len(r.Added) == 0 && r.Steady == nil && r.Flap == nil && r.Beats == nil
}

// broken is an error if a stream was lost, or had two owners.
func (r Result) broken() error {
	lost, overlaps := r.faults()
	if lost > 0 || overlaps != "" {
		return fmt.Errorf("a promise did not hold: %d streams are lost; %s", lost, overlaps)
	}
	return nil
}

// faults are the streams that nobody owns at the end of a part, and those that two owned.
func (r Result) faults() (lost int, overlaps string) {
	for _, c := range r.Changes {
		lost, overlaps = lost+c.Lost, overlaps+c.Overlaps
	}
	if r.Steady != nil {
		lost, overlaps = lost+r.Steady.Lost, overlaps+r.Steady.Overlaps
	}
	if r.Flap != nil {
		for _, f := range []Flapped{r.Flap.With, r.Flap.Without} {
			lost, overlaps = lost+f.Lost, overlaps+f.Overlaps
		}
	}
	return lost, overlaps
}
