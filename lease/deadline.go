package lease

import (
	"sync/atomic"
	"time"
)

// Clock gives nanoseconds on the process's monotonic axis, counted from when it was made; always above 0.
type Clock struct{ base time.Time }

// NewClock starts an axis now.
func NewClock() Clock { return Clock{base: time.Now()} }

// Now is the present on the axis.
func (c Clock) Now() int64 { return int64(time.Since(c.base)) + 1 }

// deadline is a point on a Clock's axis until which something is believed. Whoever looks at it after that point ends
// it for good: an answer that comes too late cannot bring back what somebody was already told is over. Safe for any
// number of goroutines; no lock.
type deadline struct{ at atomic.Int64 }

// ended is the value of a deadline that was found past.
const ended = 0

// remaining is the time left at now, 0 from the deadline on and for ever after.
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

// extend moves the deadline to a later point, unless it is past: then it stays so, and extend reports false.
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

// end makes it past.
func (d *deadline) end() { d.at.Store(ended) }

// load is the point itself, 0 when past.
func (d *deadline) load() int64 { return d.at.Load() }
