package balance

import (
	"fmt"
	"io"

	"github.com/streamlease/streamlease/bench/report"
)

// Goals, at goalStreams streams.
const (
	goalStreams  = 10_000
	goalEven     = 75   // seconds from one process to four, to even shares
	goalPeak     = 1.06 // greatest share of who receives
	goalGap      = 30   // ms without an owner, p99, of streams that are shed
	goalDrain    = 500  // ms without an owner, p99, of 2,500 streams that are drained
	goalDrained  = 0.02 // off the fair share, after a drain
	goalMoves    = 1.05 // a stream, in a rolling deploy
	goalMost     = 2    // of one stream
	goalSpread   = 0.05 // off the fair share, after a deploy
	goalCold     = 1.6  // greatest share where all start at once
	goalColdEven = 180  // seconds
	goalMoving   = 3    // % of a core of the server for moving, at budget
	budget       = 500  // streams a second that a fleet may move
	goalFlap     = 1.3  // times as many streams whose owner died as without the balance
	goalBeat     = 5    // µs of the server, a beat
	goalAdded    = 1    // times as without the balance, or what two fleets that are alike differ by in a quarter of the rounds
)

func (r Result) goals(out io.Writer) {
	for _, c := range r.Changes {
		if c.Streams == goalStreams {
			c.goals(out)
		}
	}
	if s := r.Steady; s != nil {
		report.Goal(out, fmt.Sprintf("steady, %v: moves", s.For), float64(s.Moves), "at most", 0)
	}
	if f := r.Flap; f != nil {
		report.Goal(out, "a process that dies again and again: streams that it took from others", float64(f.With.Shed), "at most", 0)
		if n := f.Without.crashed(); n > 0 {
			report.Goal(out, "a process that dies again and again: streams whose owner died, times as without the balance",
				float64(f.With.crashed())/float64(n), "at most", goalFlap)
		}
	}
	if r.Beats != nil {
		than := r.Beats.reference()
		more, _, _ := r.Beats.more(1, than, BeatWindow.ran)
		report.Goal(out, "a beat, µs of the server more than "+r.Beats.Fleets[than].Name, more.Seconds()*1e6, "at most", goalBeat)
	}
	for _, a := range r.Added {
		for _, q := range quantiles {
			ratio, _, _ := a.ratio(0, q.of)
			_, _, noise := a.ratio(2, q.of)
			report.Goal(out, fmt.Sprintf("until owned, %s, %s, times as without the balance", a.name(), q.name), ratio, "at most", max(goalAdded, noise))
		}
	}
	if lost, overlaps := r.faults(); len(r.Changes) > 0 || r.Steady != nil || r.Flap != nil {
		two := 0
		if overlaps != "" {
			two = 1
		}
		report.Goal(out, "streams that nobody owns", float64(lost), "at most", 0)
		report.Goal(out, "journals that show two owners or falling tokens", float64(two), "at most", 0)
	}
}

// never is a number of seconds that misses every goal.
const never = 1e6

func (c Change) goals(out io.Writer) {
	at := c.heading() + ": "
	seconds, until := c.Balanced.Seconds(), "seconds until shares are even"
	if !c.Even {
		seconds, until = never, until+" (they are not)"
	}
	off := max(1-c.Spread.Least, c.Spread.Greatest-1)
	switch c.Part {
	case Scale:
		report.Goal(out, at+until, seconds, "at most", goalEven)
		report.Goal(out, at+"moves of one stream", float64(c.Moves.Most), "at most", 1)
		report.Goal(out, at+"greatest share of who receives", c.Peak, "at most", goalPeak)
		report.Goal(out, at+"ms without an owner, p99", c.Moves.Gap.P99.Seconds()*1e3, "at most", goalGap)
		if c.Cost != nil {
			report.Goal(out, at+fmt.Sprintf("%% of a core of the server for %d moves a second", budget), 100*budget*c.Cost.CPU.Seconds(), "at most", goalMoving)
		}
	case Drain:
		report.Goal(out, at+"reads of what had waited for too long", c.Leftovers, "at most", 0)
		report.Goal(out, at+"ms without an owner, p99", c.Moves.Gap.P99.Seconds()*1e3, "at most", goalDrain)
		report.Goal(out, at+"off the fair share", off, "at most", goalDrained)
	case Deploy:
		report.Goal(out, at+"moves a stream", c.Moves.Mean, "at most", goalMoves)
		report.Goal(out, at+"moves of one stream", float64(c.Moves.Most), "at most", goalMost)
		report.Goal(out, at+"off the fair share when it is over", max(1-c.First.Least, c.First.Greatest-1), "at most", goalSpread)
	case Cold:
		report.Goal(out, at+"greatest share", c.Peak, "at most", goalCold)
		report.Goal(out, at+until, seconds, "at most", goalColdEven)
	}
}
