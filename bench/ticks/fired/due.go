package fired

import (
	"time"

	"github.com/streamlease/streamlease/api"
)

// atOnce is how late a tick may be when nothing happens. What is due that long before an edit, a deletion or the end may not be fired any more.
const atOnce = time.Second

// overlap is how long a handler may run that does nothing, on a busy machine. A late tick that began less than that before the next was due may have
// been in its way.
const overlap = 250 * time.Millisecond

// grid looks for points that nobody fired, and for whether that was said.
func (l *line) grid() {
	for i, c := range l.changes {
		if c.What != Create && c.What != Retime {
			continue
		}
		until := l.End
		for _, next := range l.changes[i+1:] {
			if next.What == Retime || next.What == Remove {
				until = next.From
				break
			}
		}
		l.reign(c, until)
	}
}

// reign looks at the ticks of a grid, from when a change returned until another one begins or all ends.
func (l *line) reign(c Change, until time.Duration) {
	last, lastAt, begun := l.ms(c.Until), c.Until, false
	l.young = span{c.From, c.Until + l.Within}
	reported := 0
	for _, n := range l.notes {
		if n.At < c.From || n.Kind != Fired && n.Kind != Manual || n.Generation > c.Generation && !l.reigns(c, n.Generation) {
			continue
		}
		reported += int(n.Missed)
		if n.Kind == Manual || n.Nominal <= last || !l.reigns(c, n.Generation) { // or its owner did not know of the change yet
			continue
		}
		missing := l.missing(c.Grid, last, n.Nominal, lastAt, n.At)
		if missing > reported {
			l.f.Silent += missing - reported
			l.f.name("schedule %d: of %d points between %d and %d, which nobody fired, %s said %d at %v", l.number, missing, last, n.Nominal, n.process, reported, l.when(n.At))
		}
		if begun {
			l.silence(c, lastAt, n.At)
		}
		last, lastAt, begun, reported = n.Nominal, n.At, true, 0
		l.young = span{}
	}
	l.missing(c.Grid, last, l.ms(until-atOnce), lastAt, until)
}

// reigns reports whether a generation has the grid of a change.
func (l *line) reigns(c Change, generation uint32) bool {
	for _, x := range l.changes {
		if x.From < c.From || x.Generation < c.Generation {
			continue
		}
		if x.Generation > generation || x.Generation > c.Generation && (x.What == Retime || x.What == Remove || x.What == Create) {
			return false
		}
		if x.Generation == generation {
			return true
		}
	}
	return false
}

// missing finds a reason for each point between two ticks, pauses aside, and counts those that the later tick has to tell of: what was missed
// before a pause ended is not told.
func (l *line) missing(g Grid, from, until int64, fromAt, untilAt time.Duration) (n int) {
	processes := l.among(fromAt, untilAt)
	tells := l.resumed(untilAt)
	g.between(from, until, func(point int64) {
		at := time.Duration(point)*time.Millisecond - l.Zero
		if at < l.Begin || l.fired[point] || has(l.paused, at) || has(l.forgot, at) {
			return
		}
		if at > tells {
			n++
		}
		if fromAt >= at-overlap && fromAt <= at+edge {
			l.f.Overlapped++
			return
		}
		if l.isUnowned(at) || l.lostBy(fromAt, at) {
			processes = []string{anybody} // who may have taken it, and not begun
		}
		if has(l.busy, at) || l.young.covers(at) || l.waits(at) || l.diedBusy(fromAt, at) || l.excused(at, processes, true) {
			l.f.Skipped++
			return
		}
		l.f.Lost++
		l.f.name("schedule %d: nobody fired the tick of %d, at %v", l.number, point, l.when(at))
	})
	return n
}

// resumed is when the schedule was resumed last before a time.
func (l *line) resumed(before time.Duration) (at time.Duration) {
	for _, c := range l.changes {
		if c.What == Resume && c.From <= before {
			at = c.Until
		}
	}
	return at
}

// silence notes how much longer than its interval a schedule went without a tick.
func (l *line) silence(c Change, from, until time.Duration) {
	for _, p := range l.paused {
		if p.from <= until && p.until >= from {
			return
		}
	}
	l.f.Silence = max(l.f.Silence, until-from-time.Duration(c.Grid.Every)*time.Millisecond)
}

// inForce looks when owners knew of changes.
func (l *line) inForce() {
	for i, c := range l.changes {
		tells := teller(c)
		if tells == nil || c.From < l.Begin {
			continue
		}
		owner := l.ownerAt(c.From)
		var heard *noted
		for j := range l.notes {
			if n := &l.notes[j]; n.At >= c.From && tells(n.Note) {
				heard = n
				break
			}
		}
		limit := c.Until + l.Within
		over := min(limit, l.End)
		if i+1 < len(l.changes) {
			over = min(over, l.changes[i+1].From)
		}
		switch {
		case l.disturbed(c.From, max(over, heardAt(heard))):
			l.f.Disturbed++
		case heard != nil && heard.At <= limit:
			l.force[c.What] = append(l.force[c.What], heard.At-c.From)
			if c.What != Create && owner != 0 && heard.Token != owner {
				l.f.Moved++
			}
		case over == limit:
			l.f.Ignored++
			l.f.name("schedule %d: it was %s at %v, which its owner did not hear of in %v", l.number, c.What, l.when(c.From), l.Within)
		}
	}
}

func heardAt(n *noted) time.Duration {
	if n == nil {
		return 0
	}
	return n.At
}

// teller returns which notes tell that a change is in force; nil: none does.
func teller(c Change) func(Note) bool {
	switch c.What {
	case Create:
		return func(n Note) bool { return n.Kind == Opened && n.Generation >= c.Generation }
	case Retime, Reword:
		return func(n Note) bool { return (n.Kind == Changed || n.Kind == Opened) && n.Generation >= c.Generation }
	case Remove:
		return func(n Note) bool { return n.Kind == Deleted }
	case Trigger:
		return func(n Note) bool { return n.Kind == Manual }
	}
	return nil
}

// ownerAt is the token of the last note before a time.
func (l *line) ownerAt(at time.Duration) (token api.Token) {
	for _, n := range l.notes {
		if n.At > at {
			break
		}
		token = n.Token
	}
	return token
}
