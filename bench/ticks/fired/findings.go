package fired

import (
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
)

// maxNamed is how many faults are named.
const maxNamed = 20

// Findings are what an audit found.
type Findings struct {
	Ticks      int // that were fired, repeated ones included
	Manual     int // of these, asked for
	Skipped    int // points of grids that nobody fired, of which a trouble, a pause or a handler that took long is the reason
	Overlapped int // points that nobody fired, since the tick before was late and had just begun
	Repeated   int // ticks that were fired again, of which a trouble is the reason
	MostOfOne  int // of these, of one schedule
	Ownerships int
	Losses     int           // ownerships that ended otherwise than by a hand-over or a deletion, in a process that lived
	Disturbed  int           // changes while a trouble struck, of which it is not asked how soon they were in force
	Moved      int           // schedules whose owner changed while a change was on its way, and nothing struck
	Silence    time.Duration // the longest that a schedule went without a tick beyond its interval, pauses aside

	Lost       int // points that nobody fired, and there is no reason
	Silent     int // points that nobody fired, and no tick said that it was missed
	OffGrid    int // ticks that are on no grid, and are not the first after a change
	Disordered int // ticks that were fired after a later one, or twice, in one ownership
	Stale      int // ticks that were fired by an owner after the next one had begun
	Unexcused  int // ticks that were fired again, and there is no reason
	Obsolete   int // ticks of a spec that had been edited or deleted for long, or of a paused schedule
	Ignored    int // changes that were not in force in time
	Forgotten  int // states that the next owner did not get, after a hand-over
	Named      []string

	InForce map[What]measure.Latency // from the call until the owner knew, where nothing struck
	Late    measure.Latency          // of all ticks that were not asked for
	Latest  string                   // the one that was the latest
	Calm    measure.Latency          // of those of owners that were no new ones, and in whose way there was no trouble
}

// Faults are promises that did not hold.
func (f Findings) Faults() int {
	return f.Lost + f.Silent + f.OffGrid + f.Disordered + f.Stale + f.Unexcused + f.Obsolete + f.Ignored + f.Forgotten
}

func (f *Findings) name(format string, args ...any) {
	if len(f.Named) < maxNamed {
		f.Named = append(f.Named, fmt.Sprintf(format, args...))
	}
}

// latencyOf are percentiles of durations, which it sorts.
func latencyOf(all []time.Duration) measure.Latency {
	slices.Sort(all)
	return measure.Latency{P50: measure.Quantile(all, .5), P99: measure.Quantile(all, .99), Max: measure.Quantile(all, 1)}
}
