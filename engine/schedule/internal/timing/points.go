package timing

// soonest bounds how long after its creation a schedule has its first tick, if that is to come soon. Milliseconds.
const soonest = 10_000

// Points are the ticks of a schedule: those of its timing, and at most one beside them.
type Points struct {
	Timing
	// Off is a time off the grid. 0: none.
	Off int64
}

// From returns the points of a schedule, and from which time on they count: those after from.
//
// since is when the schedule was created, edited or resumed; nothing before it is missed. last is the nominal time of the last tick that was
// done, 0 if none was in this incarnation. soon asks for a first tick within the shorter of the interval and 10 s from since: one off the
// grid, unless the grid has one by then, which would come right before or after it.
//
// After an edit the first tick is the next one of the new timing, or an interval after the last one, whichever is first: an
// interval of 22 h that becomes one of 24 h leaves no gap of 45 h. What is returned depends on the arguments alone, so all owners agree
// on the identity of the tick off the grid.
func From(t Timing, name string, soon bool, since, last int64) (p Points, from int64) {
	since, last = min(max(since, 0), horizon), min(max(last, 0), horizon)
	p.Timing, from = t, max(last, since-1)
	off, before := int64(0), int64(0) // a point of the grid up to before is as good
	switch {
	case last == 0 && soon:
		within := int64(soonest)
		if t.every > 0 {
			within = min(within, t.every)
		}
		off, before = since+Spread(name, within), since+within
	case last > 0 && last < since && t.every > 0:
		off = last + t.every
		before = off
	}
	if off <= from || !t.bounds(off) {
		return p, from
	}
	if at, ok := t.Next(from); !ok || at > before {
		p.Off = off
	}
	return p, from
}

// Next returns the first point after a time. It reports false if there is none.
func (p Points) Next(after int64) (at int64, ok bool) {
	at, ok = p.Timing.Next(after)
	if p.Off > max(after, 0) && (!ok || p.Off < at) {
		return p.Off, true
	}
	return at, ok
}

// Last returns the last point after from and not after to, and how many there are: 0, 0 if there is none. See [Timing.Last].
func (p Points) Last(from, to int64) (at int64, n int) {
	at, n = p.Timing.Last(from, to)
	if p.Off <= max(from, 0) || p.Off > to {
		return at, n
	}
	if on, ok := p.Timing.Next(p.Off - 1); ok && on == p.Off {
		return at, n // it is on the grid
	}
	return max(at, p.Off), n + 1
}
