package scan

import (
	"fmt"
	"math"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// Orphan is an entry that a dead consumer left pending.
type Orphan struct {
	lease.PendingEntry
	Readable bool // Stream, Key and the counts are set
}

// Death is what the server knows of the end of a consumer.
type Death struct {
	Deadline float64       // of its session, ms of the server's clock: 0 closed, with a fraction adopted
	Now      int64         // the server's clock, ms
	TTL      time.Duration // of its sessions, as it is on record; the greatest on record where it is not
}

// counts reports whether this end counts as a crash. A session that was closed ended on purpose; of one that was
// adopted nobody knows when it ended.
func (d Death) counts() bool {
	return d.Deadline > 0 && d.Deadline == math.Trunc(d.Deadline)
}

// heldFor is how long the dead consumer held an entry that has been idle since it was acquired: idle counts the time
// from the last beat, which came a session TTL before the deadline, until now as well.
func (d Death) heldFor(idle time.Duration) time.Duration {
	since := time.Duration(d.Now-int64(d.Deadline))*time.Millisecond + d.TTL
	return idle - since
}

// Judge decides where an orphan goes. A crash counts only for an entry that was owned, and not for one that was owned
// for long: a process that dies takes thousands of innocent streams along. The first crash costs no delay. What is beyond
// the limit is sent to the dead letters, on which Convict has the last word.
func (c Config) Judge(o *Orphan, death Death, rnd float64) lease.Return {
	c = c.WithDefaults()
	r := lease.Return{
		Key: o.Key, Entry: o.ID, Token: lease.AnyToken, Dest: lease.ToInput,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}
	if o.NotBefore > 0 {
		// A copy does not carry it.
		r.Dest, r.At = lease.ToLater, o.NotBefore
	}
	if !o.Readable || o.Gone || !death.counts() || o.Deliveries < lease.HeldDeliveries {
		return r
	}
	if death.heldFor(o.Idle) >= c.StableAfter {
		r.Crashes = 0
		return r
	}
	r.Crashes = o.Crashes + 1
	switch {
	case r.Crashes > max(c.MaxCrashes, 0):
		r.Dest = lease.ToDeadLetters
		r.Reason = fmt.Sprintf("crashes: its owners died %d times", r.Crashes)
	case r.Crashes > 1:
		r.Dest = lease.ToLater
		r.Delay = c.DelayAfterCrash(r.Crashes-1, rnd)
	}
	return r
}

// Convict finds out which of the entries that are beyond the limit of crashes is to blame, all that one dead consumer
// left; the others are put off instead of becoming dead letters. What kills its owner is there at every one of these
// deaths; what merely shares its fate misses one, sooner or later, since each comes back after a delay of its own. So the
// one with the most crashes is to blame, if it is alone in that. Each further death parts it from about half of those that
// are level with it; beyond three times the limit all that have the most are to blame.
func (c Config) Convict(suspects []lease.Return, rnd func() float64) {
	c = c.WithDefaults()
	most, alone := 0, false
	for i := range suspects {
		if n := suspects[i].Crashes; n > most {
			most, alone = n, true
		} else if n == most {
			alone = false
		}
	}
	limit := min(max(c.MaxCrashes, 0), math.MaxInt/3)
	for i := range suspects {
		r := &suspects[i]
		if r.Crashes == most && (alone || most > 3*limit) {
			continue
		}
		r.Dest, r.Reason = lease.ToLater, ""
		r.Delay = c.DelayAfterCrash(r.Crashes-1, rnd())
	}
}
