package fired

import (
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
)

// line is what is known of one schedule.
type line struct {
	*Audit
	f       *Findings
	number  int
	changes []Change
	notes   []noted // by time
	busy    []span  // when handlers ran that took long
	paused  []span
	fresh   time.Duration // since when the owner of a tick owns the schedule
	unowned []unowned
	fired   map[int64]bool // nominal times
	forgot  []span         // when servers may have forgotten a change
	young   span           // of a grid whose first tick was not fired yet: until its owner has to know of it
}

type span struct{ from, until time.Duration }

// unowned is when the schedule was nobody's.
type unowned struct {
	span
	by string // the process that handed it back
}

func (l *line) isUnowned(at time.Duration) bool {
	return slices.ContainsFunc(l.unowned, func(u unowned) bool { return u.covers(at) })
}

func (s span) covers(at time.Duration) bool { return at >= s.from-edge && at <= s.until+edge }

func has(all []span, at time.Duration) bool {
	return slices.ContainsFunc(all, func(s span) bool { return s.covers(at) })
}

// replicates is how long a replica may be behind: that much a server may forget.
const replicates = time.Second

// spans finds when the schedule was paused, when its handler ran for long, and when changes of it may have been forgotten.
func (l *line) spans() {
	for _, c := range l.changes {
		for _, t := range l.Troubles {
			if t.Forgets && t.of(l.number, nil) && t.overlaps(c.From-edge, c.Until+replicates) {
				l.forgot = append(l.forgot, span{c.From, l.repaired(max(t.Until, c.Until))})
			}
		}
		switch c.What {
		case Pause:
			l.paused = append(l.paused, span{c.From, 1 << 62})
		case Resume, Remove:
			if n := len(l.paused); n > 0 && l.paused[n-1].until == 1<<62 {
				l.paused[n-1].until = c.Until + l.Within // until its owner has to know of it
			}
		}
	}
	begun := make(map[api.Token]time.Duration)
	l.fired = make(map[int64]bool)
	for _, n := range l.notes {
		switch n.Kind {
		case Fired:
			begun[n.Token], l.fired[n.Nominal] = n.At, true
		case Manual:
			begun[n.Token] = n.At
		case Ended:
			l.busy = append(l.busy, span{begun[n.Token], n.At})
		case Released, Lost, Deleted:
			l.unowned = append(l.unowned, unowned{span{n.At, 1 << 62}, n.process})
		case Opened:
			if k := len(l.unowned); k > 0 {
				l.unowned[k-1].until = min(l.unowned[k-1].until, n.At)
			}
		}
	}
}

// removed reports whether the schedule was deleted between two times, or put as another one after it was: an owner that is draining hands
// back what was deleted a moment before.
func (l *line) removed(from, until time.Duration) bool {
	return slices.ContainsFunc(l.changes, func(c Change) bool {
		return (c.What == Remove || c.What == Create) && c.Until >= from && c.From <= until
	})
}

// repaired is from when on a change is in force that was made before a time.
func (l *line) repaired(after time.Duration) time.Duration {
	for _, r := range l.Repairs {
		if r > after {
			return r + l.Within
		}
	}
	return l.End
}

// among are the processes that noted something of the schedule between two times, or last before.
func (l *line) among(from, until time.Duration) (all []string) {
	for i, n := range l.notes {
		if n.At > until {
			break
		}
		if n.At >= from || i+1 < len(l.notes) && l.notes[i+1].At >= from || i+1 == len(l.notes) {
			all = append(all, n.process)
		}
	}
	return all
}

// anybody stands for all processes.
const anybody = "*"

// excused reports whether a trouble explains that something did not happen at a time: it struck, or its effects lasted. Quiet ones do only
// where any trouble counts.
func (l *line) excused(at time.Duration, processes []string, loud bool) bool {
	return slices.ContainsFunc(l.Troubles, func(t Trouble) bool {
		return (!loud || !t.Quiet) && t.overlaps(at-l.Session-l.Deferred-catchUp-2*edge, at+edge) && t.of(l.number, processes)
	})
}

// lostBy reports whether who fired at a time may have lost the schedule by another, which only those note that live. Then anybody may have had
// it since, and not have begun.
func (l *line) lostBy(from, at time.Duration) bool {
	owner := l.among(from, from)
	return slices.ContainsFunc(l.Troubles, func(t Trouble) bool {
		return t.Process != "" && !t.Quiet && t.overlaps(from-edge, at) && slices.Contains(owner, t.Process)
	})
}

// waits reports whether nobody had the schedule at a time, and a trouble may have kept others from taking it, quiet or not: a process that is cut
// off or new takes little, those that run leave it its share, and servers that have handed over give nothing free away for a while. That
// the process ends or starts which handed it back is no reason.
func (l *line) waits(at time.Duration) bool {
	return slices.ContainsFunc(l.unowned, func(u unowned) bool {
		return u.covers(at) && slices.ContainsFunc(l.Troubles, func(t Trouble) bool {
			return t.Process != u.by && t.of(l.number, []string{anybody}) && t.overlaps(at-l.Session, at+edge)
		})
	})
}

// diedBusy reports whether the handler that began at a time may have run until its process died: whoever dies does not note that it is at work.
func (l *line) diedBusy(from, at time.Duration) bool {
	owner := l.among(from, from)
	return slices.ContainsFunc(l.Troubles, func(t Trouble) bool {
		return t.Process != "" && !t.Quiet && t.From >= at-edge && t.From <= from+l.Slow && slices.Contains(owner, t.Process)
	})
}

// unsaved returns since when checkpoints may not have been stored that were lost to a trouble: for longer than usual while servers were in
// trouble just before.
func (l *line) unsaved(t Trouble) time.Duration {
	since := t.From - l.Unsaved
	for again := true; again; {
		again = false
		for _, x := range l.Troubles {
			if x.Process == "" && !x.Harmless && x.of(l.number, nil) && x.From-l.Unsaved < since && x.Until >= since {
				since, again = x.From-l.Unsaved, true
			}
		}
	}
	return since
}

// disturbed reports whether any trouble may have kept the owner from hearing of a change.
func (l *line) disturbed(from, until time.Duration) bool {
	processes := l.among(from, until)
	return slices.ContainsFunc(l.Troubles, func(t Trouble) bool {
		return t.overlaps(from-l.Session-l.Deferred-catchUp, until) && t.of(l.number, processes)
	})
}
