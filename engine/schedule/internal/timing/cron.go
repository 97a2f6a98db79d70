package timing

import "time"

// cron is an expression on the wall clock of a zone. It is immutable.
type cron struct {
	expression
	zone *time.Location
}

// next returns the first tick after a time, in milliseconds.
func (c *cron) next(after int64) (int64, bool) {
	w := c.walk(div(after, 1000))
	at, ok := w.next()
	return at * 1000, ok
}

// few is how many ticks are looked at one by one before the rest of them is counted.
const few = 4

// last returns the last tick after from and not after to, and how many there are. Milliseconds.
func (c *cron) last(from, to int64) (last int64, n int) {
	to = div(to, 1000)
	w := c.walk(div(from, 1000))
	for ; n < few; n++ {
		at, ok := w.next()
		if !ok || at > to {
			return last * 1000, n
		}
		last = at
	}
	return c.latest(last, to) * 1000, n + w.count(to)
}

// latest returns the last tick that is not after to, given one that is not. In seconds. It halves the time in which that may be: whether
// there is a tick in the later half takes one look.
func (c *cron) latest(tick, to int64) int64 {
	for end := to; tick < end; {
		middle := tick + (end-tick)/2
		w := c.walk(middle)
		if at, ok := w.next(); ok && at <= to {
			tick = at
		} else {
			end = middle
		}
	}
	return tick
}

// walk returns a walk through the ticks after a time. Seconds.
func (c *cron) walk(after int64) walk {
	w := walk{cron: c, span: spanAt(c.zone, after)}
	w.reached = after + w.offset
	if c.anyHour {
		return w
	}
	// Within the second pass of an hour, the clock has shown it all.
	for start := w.start; start > after-farthest; {
		before := spanAt(c.zone, start-1)
		w.reached = max(w.reached, start+before.offset-1)
		start = before.start
	}
	return w
}

// walk goes through the ticks of a cron expression in order, span by span.
type walk struct {
	*cron
	span
	// reached is the greatest wall time whose ticks are behind, as its zone's clock showed it.
	reached int64
}

// next returns the next tick, in seconds. It reports false if there is none.
func (w *walk) next() (int64, bool) {
	for {
		wall, ok := w.expression.next(w.reached)
		if !ok {
			return 0, false
		}
		at := max(wall-w.offset, w.start) // it was left out before the start
		if at < w.end {
			w.reached = max(wall, at+w.offset)
			return at, true
		}
		w.cross()
	}
}

// count returns how many ticks are ahead and not after to. It goes on behind them.
func (w *walk) count(to int64) (n int) {
	for {
		// What was left out before the start of the span, and what the clock shows then, is one tick.
		if wall, ok := w.expression.next(w.reached); ok && w.start <= to && wall-w.offset <= w.start {
			w.reached = w.start + w.offset
			n++
		}
		shown := min(w.end-1, to) + w.offset
		n += w.expression.count(w.reached, shown)
		w.reached = max(w.reached, shown)
		if w.end > to {
			return n
		}
		w.cross()
	}
}

// cross goes on to the next span.
func (w *walk) cross() {
	end, offset := w.end, w.offset
	w.span = spanAt(w.zone, end)
	w.start = end
	moved := w.offset - offset
	switch {
	case moved < 0 && w.anyHour:
		w.reached = end + w.offset - 1 // once more
	case moved > 0 && w.hours == everyHour && moved%hour == 0:
		w.reached = end + w.offset - 1 // nothing was left out
	default:
		w.reached = max(w.reached, end+offset-1)
	}
}
