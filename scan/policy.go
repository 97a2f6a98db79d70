package scan

import (
	"math"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// sessionEnd is what the server knows about how a consumer ended.
type sessionEnd struct {
	deadline float64       // of its session, in ms of the server's clock: 0 closed, with a fraction adopted or proven
	now      int64         // the server's clock, in ms
	ttl      time.Duration // of its sessions, as recorded; the greatest on record where its own is not
	seen     time.Duration // since it last showed that it was at work, which it does every 30 s; 0: unknown
	last     time.Duration // since the consumer last read or acquired anything; 0: unknown
}

// proven is the fraction of a deadline that is none: the process was proven to have ended before it, and this is when it last beat
// (endruns.lua).
const proven = 0.25

// crashed reports whether this end counts as a crash. A session that was closed ended on purpose; when an adopted one ended,
// nobody knows.
func (e sessionEnd) crashed() bool {
	return e.deadline > 0 && (e.deadline == math.Trunc(e.deadline) || e.isProven())
}

func (e sessionEnd) isProven() bool { return e.deadline-math.Trunc(e.deadline) == proven }

// heldFor returns how long the dead consumer had an entry that has been idle since it was acquired, or read. The idle time
// also includes the time from the last beat, which came a session TTL before the deadline, until now. The result is negative
// for an entry that came after the last beat.
//
// Where nobody beat for a while, as in a fleet of one process that is restarted ever more slowly, the deadline was moved by
// that much, and the last beat seems later than it was. When the consumer was last seen was not moved.
func (e sessionEnd) heldFor(idle time.Duration) time.Duration {
	since := time.Duration(e.now-int64(e.deadline)) * time.Millisecond
	if !e.isProven() {
		since += e.ttl
	}
	return idle - max(since, e.seen-seenWithin)
}

// seenWithin is how long a consumer that is at work may look idle: it shows itself every 30 s, when a blocking read has
// returned.
const seenWithin = 45 * time.Second

// involved reports whether an orphan may have caused the death of its consumer: it was owned, or it was read within a session
// TTL of the last beat, so that reading it may have been the cause. Reading happens while the last beats are sent, and may
// take a while when memory runs short. What was parked for longer was in nobody's hands. Where nobody beat for a while, since
// the next process came late, deadlines were moved by that much, and the last beat seems later than it was. So what was read
// within a session TTL before the last entry that the consumer got is involved as well.
func (c Config) involved(o *orphan, end sessionEnd) bool {
	switch {
	case !o.readable || o.Gone || !end.crashed():
		return false
	case o.Deliveries >= lease.HeldDeliveries:
		return true
	}
	held := end.heldFor(o.Idle)
	recent := held <= end.ttl || end.last > 0 && o.Idle <= end.last+end.ttl
	return c.MaxCrashes >= 0 && recent && held >= -end.ttl
}

// decide returns where an orphan goes: back to its queue, to later, or to the dead letters. A crash counts for what was owned
// or had just been read, but not for what was owned for StableAfter: a process that dies takes thousands of innocent streams
// with it. The first crash costs no delay. What has crashed more often than MaxCrashes is destined for the dead letters, but
// detectPoison has the last word.
func (c Config) decide(o *orphan, end sessionEnd, rnd float64) lease.Disposition {
	c = c.WithDefaults()
	r := lease.Disposition{
		Key: o.Key, Entry: o.ID, Token: lease.AnyToken, Dest: lease.ToInput,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}
	if o.NotBefore > 0 {
		// A copy does not carry it.
		r.Dest, r.At = lease.ToLater, o.NotBefore
	}
	if !c.involved(o, end) {
		return r
	}
	if o.Deliveries >= lease.HeldDeliveries && end.heldFor(o.Idle) >= c.StableAfter {
		r.Crashes = 0
		return r
	}
	// The count is a field of the entry, where a producer can write anything.
	r.Crashes = min(max(o.Crashes, 0), c.maxCrashCount()-1) + 1
	switch {
	case r.Crashes > c.crashLimit():
		r.Dest = lease.ToDeadLetters
		r.Reason = crashReason(r.Crashes)
	case r.Crashes > 1:
		r.Dest = lease.ToLater
		r.Delay = c.DelayAfterCrash(r.Crashes-1, rnd)
	}
	return r
}
