package lease

import (
	"sync/atomic"
	"time"
)

// Clock counts nanoseconds of the process's monotonic clock from when it was made; always above 0.
type Clock struct{ base time.Time }

// NewClock starts a clock now.
func NewClock() Clock { return Clock{base: time.Now()} }

// Now returns the present time on the clock.
func (c Clock) Now() int64 { return int64(time.Since(c.base)) + 1 }

// deadline is a point in time of a Clock until which something is believed. Whoever looks at it after that point ends it for
// good: a late answer cannot bring back what somebody was already notified is over. Safe for concurrent use, without a lock.
type deadline struct{ at atomic.Int64 }

// ended is the value of a deadline that was found past.
const ended = 0

// remaining returns the time left at now: 0 from the deadline on, and forever after.
func (d *deadline) remaining(now int64) time.Duration {
	for {
		at := d.at.Load()
		if at == ended {
			return 0
		}
		if now < at {
			return time.Duration(at - now)
		}
		if d.at.CompareAndSwap(at, ended) {
			return 0
		}
	}
}

// extend moves the deadline to a later point. If it is past it stays past, and extend reports false.
func (d *deadline) extend(now, to int64) bool {
	for {
		at := d.at.Load()
		if at == ended {
			return false
		}
		if now >= at {
			if d.at.CompareAndSwap(at, ended) {
				return false
			}
			continue
		}
		if to <= at || d.at.CompareAndSwap(at, to) {
			return true
		}
	}
}

// lower moves the deadline to an earlier point.
func (d *deadline) lower(to int64) {
	for {
		at := d.at.Load()
		if at == ended || at <= to || d.at.CompareAndSwap(at, max(to, 1)) {
			return
		}
	}
}

// end makes the deadline past.
func (d *deadline) end() { d.at.Store(ended) }

// load returns the point itself, 0 if past.
func (d *deadline) load() int64 { return d.at.Load() }
