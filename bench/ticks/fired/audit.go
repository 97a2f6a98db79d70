package fired

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
)

const (
	// edge is how far off a moment may be that is known by a clock of another process, the server's included, or by the time that a note
	// took.
	edge = 200 * time.Millisecond
	// catchUp is over how long ticks are spread that a new owner has missed.
	catchUp = 10 * time.Second
)

// Audit compares what was fired with what was due.
type Audit struct {
	Session  time.Duration   // TTL: how long it takes until somebody else owns what a process had
	Deferred time.Duration   // the longest that a schedule waits which was owned by several processes that died
	Slow     time.Duration   // how long a handler takes at most that is not broken off
	Unsaved  time.Duration   // what was fired that long before a trouble may come again
	Within   time.Duration   // in which a change has to be in force
	Zero     time.Duration   // wall-clock time since the epoch when the clock of journals was 0
	Begin    time.Duration   // since when there are processes, which have to hear of changes, and fire what is due; times that are shown are from then on
	End      time.Duration   // until when ticks have to be fired
	Repairs  []time.Duration // when all that had been changed before was there for certain, though servers may have forgotten it
	Changes  [][]Change      // by schedule, in their order
	Troubles []Trouble

	notes  [][]noted // by schedule
	late   struct{ all, calm measure.Recorder }
	latest time.Duration
	force  map[What][]time.Duration
}

// noted is a note and whose it is.
type noted struct {
	Note
	process string
}

// Add takes in notes of a process.
func (a *Audit) Add(process string, all []Note) {
	for _, n := range all {
		if n.Kind == Stalled {
			a.Troubles = append(a.Troubles, Trouble{Name: Stood, Process: process, From: time.Duration(n.Nominal), Until: n.At})
			continue
		}
		for int(n.Schedule) >= len(a.notes) {
			a.notes = append(a.notes, nil)
		}
		a.notes[n.Schedule] = append(a.notes[n.Schedule], noted{n, process})
	}
}

// Stood is the name of the trouble that a process did not run, which it finds by itself.
const Stood = "did not run"

// Run checks everything.
func (a *Audit) Run() (f Findings) {
	a.force = make(map[What][]time.Duration)
	for schedule := range a.Changes {
		if schedule >= len(a.notes) {
			a.notes = append(a.notes, nil)
		}
		a.schedule(schedule, &f)
	}
	f.InForce = make(map[What]measure.Latency)
	for what, all := range a.force {
		f.InForce[what] = latencyOf(all)
	}
	f.Late, f.Calm = measure.LatencyOf(a.late.all.Read()), measure.LatencyOf(a.late.calm.Read())
	return f
}

// ms is a time on the clock of journals in milliseconds since the epoch.
func (a *Audit) ms(at time.Duration) int64 { return (a.Zero + at).Milliseconds() }

func (a *Audit) schedule(number int, f *Findings) {
	l := &line{Audit: a, f: f, number: number, changes: a.Changes[number], notes: a.notes[number]}
	slices.SortStableFunc(l.notes, func(x, y noted) int { return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Token, y.Token)) })
	l.spans()
	l.owners()
	l.ticks()
	l.grid()
	l.inForce()
}

// owners checks that owners follow each other, and that each gets the state of the one before.
func (l *line) owners() {
	var token api.Token     // the greatest so far
	var released bool       // the last ownership was handed back
	var last time.Duration  // of the note before
	var saved, before int64 // by ticks, and by the one before
	for _, n := range l.notes {
		if n.Token < token && (n.Kind == Fired || n.Kind == Manual) {
			l.f.Stale++
			l.f.name("schedule %d: the tick of %d was fired under %d by %s at %v, when the owner was %d", l.number, n.Nominal, n.Token, n.process, l.when(n.At), token)
		}
		token = max(token, n.Token)
		switch n.Kind {
		case Fired, Manual:
			before, saved = saved, n.Nominal
		case Failed:
			saved = before
		case Opened:
			l.f.Ownerships++
			if released && n.Nominal != saved && !l.removed(last, n.At) && !l.excused(n.At, l.among(n.At-l.Session, n.At), true) {
				l.f.Forgotten++
				l.f.name("schedule %d: %s got the state of %d at %v, and not that of %d", l.number, n.process, n.Nominal, l.when(n.At), saved)
			}
			saved = n.Nominal
		case Deleted:
			saved = 0
		case Lost:
			l.f.Losses++
		}
		released, last = n.Kind == Released, n.At
	}
}

// ticks checks each tick by itself, and against earlier ones of the same time.
func (l *line) ticks() {
	first := make(map[int64]noted)
	last := make(map[api.Token]int64)
	off := make(map[uint32]int) // ticks off the grid, by generation
	repeated := 0
	for _, n := range l.notes {
		if n.Kind == Opened {
			l.fresh = n.At
		}
		if n.Kind == Manual {
			l.f.Ticks++
			l.f.Manual++
		}
		if n.Kind != Fired {
			continue
		}
		l.f.Ticks++
		l.lateness(n)
		if g, ok := l.gridOf(n.Generation); !ok || !g.has(n.Nominal) {
			if off[n.Generation]++; !ok || off[n.Generation] > l.starts(n.Generation)+len(l.forgot) {
				l.f.OffGrid++
				l.f.name("schedule %d: %s fired a tick of %d at %v, which is on no grid of generation %d", l.number, n.process, n.Nominal, l.when(n.At), n.Generation)
			}
		}
		if before, ok := last[n.Token]; ok && n.Nominal <= before {
			l.f.Disordered++
			l.f.name("schedule %d: %s fired the tick of %d at %v after that of %d under %d", l.number, n.process, n.Nominal, l.when(n.At), before, n.Token)
		}
		last[n.Token] = n.Nominal
		if before, again := first[n.Nominal]; again && before.Token != n.Token {
			repeated++
			l.repeat(before, n)
		}
		first[n.Nominal] = n
		l.obsolete(n)
	}
	l.f.MostOfOne = max(l.f.MostOfOne, repeated)
}

// lateness takes in how late a tick was, if it was fired when there was a fleet that had settled.
func (l *line) lateness(n noted) {
	if n.At < l.Begin {
		return
	}
	l.late.all.Observe(n.Late)
	if n.Late > l.latest {
		l.latest = n.Late
		l.f.Latest = fmt.Sprintf("schedule %d: %s fired the tick of %d at %v, %v late, and said that %d were missed", l.number, n.process, n.Nominal, l.when(n.At), n.Late, n.Missed)
	}
	if n.At >= l.fresh+catchUp && !l.excused(n.At, l.among(n.At, n.At), false) {
		l.late.calm.Observe(n.Late)
	}
}

// when is a time as it is shown, from Begin.
func (a *Audit) when(at time.Duration) time.Duration { return at - a.Begin }

// gridOf is the grid of a generation.
func (l *line) gridOf(generation uint32) (g Grid, ok bool) {
	for _, c := range l.changes {
		if c.Generation == generation && c.What != Remove {
			return c.Grid, true
		}
	}
	return g, false
}

// starts is how often a generation may have a tick off its grid: after it was made, and after each time that it was resumed. A spec with other
// info has the tick of the one before.
func (l *line) starts(generation uint32) (n int) {
	for _, c := range l.changes {
		if c.Generation == generation && (c.What == Create || c.What == Retime || c.What == Resume || c.What == Reword) {
			n++
		}
	}
	return n
}

// repeat judges a tick that came again under another token.
func (l *line) repeat(before, now noted) {
	for _, t := range l.Troubles {
		if !t.Quiet && t.of(l.number, []string{before.process}) && before.At >= l.unsaved(t) && before.At <= t.Until+l.Unsaved && now.At >= t.From {
			l.f.Repeated++
			return
		}
	}
	l.f.Unexcused++
	l.f.name("schedule %d: the tick of %d was fired by %s at %v under %d, and again by %s at %v under %d", l.number, now.Nominal,
		before.process, l.when(before.At), before.Token, now.process, l.when(now.At), now.Token)
}

// obsolete finds ticks of a spec that is not in force any more, and of a paused schedule.
func (l *line) obsolete(n noted) {
	for i, c := range l.changes {
		after := c.Until+l.Within < n.At && !has(l.forgot, n.At) && !l.disturbed(n.At-l.Within, n.At)
		old := n.Generation < c.Generation && (c.What != Pause && c.What != Trigger)
		paused := c.What == Pause && (i+1 == len(l.changes) || n.At < l.changes[i+1].From)
		if after && (old || paused) {
			l.f.Obsolete++
			l.f.name("schedule %d: %s fired the tick of %d at %v by generation %d, %v after it was %s", l.number, n.process, n.Nominal, l.when(n.At), n.Generation,
				n.At-c.Until, c.What)
			return
		}
	}
}
