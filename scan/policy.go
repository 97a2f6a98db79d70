package scan

import (
	"fmt"
	"math"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// Death is what the server knows of the end of a consumer.
type Death struct {
	Deadline float64       // of its session, ms of the server's clock: 0 closed, with a fraction adopted
	Now      int64         // the server's clock, ms
	TTL      time.Duration // of its sessions, as it is on record; the greatest on record where it is not
	Seen     time.Duration // how long ago it showed last that it was at work, which it does every half a minute; 0: not known
	Last     time.Duration // how long ago the consumer got, by reading or acquiring, what it got last; 0: not known
}

// counts reports whether this end counts as a crash. A session that was closed ended on purpose; of one that was
// adopted nobody knows when it ended.
func (d Death) counts() bool {
	return d.Deadline > 0 && d.Deadline == math.Trunc(d.Deadline)
}

// heldFor is how long the dead consumer had an entry that has been idle since it was acquired, or read: idle counts the
// time from the last beat, which came a session TTL before the deadline, until now as well. It is negative for what came
// after the last beat.
//
// Where nobody beat for a while, as in a fleet of one that is restarted ever more slowly, the deadline was moved by as much,
// and the last beat seems to be later than it was. What the consumer last showed of itself was not moved.
func (d Death) heldFor(idle time.Duration) time.Duration {
	since := time.Duration(d.Now-int64(d.Deadline))*time.Millisecond + d.TTL
	return idle - max(since, d.Seen-seenEvery)
}

// seenEvery is how long a consumer that is at work may look idle: it shows itself every half a minute, when a read that waits
// has returned.
const seenEvery = 45 * time.Second

// involved reports whether an orphan may have had to do with the death: it was owned, or it was read within a session TTL
// of the last beat, so that reading it may have been what killed: it happens while the last beats are sent, and may take a
// while if memory runs short. What was parked for longer was in nobody's hands. Where nobody beat for a while, since the next
// process came late, deadlines were moved by as much, and the last beat seems to be later than it was. So what was read
// within a session TTL of the last that the consumer got is involved as well.
func (c Config) involved(o *Orphan, death Death) bool {
	switch {
	case !o.Readable || o.Gone || !death.counts():
		return false
	case o.Deliveries >= lease.HeldDeliveries:
		return true
	}
	held := death.heldFor(o.Idle)
	late := held <= death.TTL || death.Last > 0 && o.Idle <= death.Last+death.TTL
	return c.MaxCrashes >= 0 && late && held >= -death.TTL
}

// Judge decides where an orphan goes. A crash counts for what was owned or had just been read, but not for what was owned
// for StableAfter: a process that dies takes thousands of innocent streams along. The first crash costs no delay. What is
// beyond MaxCrashes is meant for the dead letters, on which Convict has the last word.
func (c Config) Judge(o *Orphan, death Death, rnd float64) lease.Disposition {
	c = c.WithDefaults()
	r := lease.Disposition{
		Key: o.Key, Entry: o.ID, Token: lease.AnyToken, Dest: lease.ToInput,
		Retries: lease.KeepCount, Crashes: lease.KeepCount,
	}
	if o.NotBefore > 0 {
		// A copy does not carry it.
		r.Dest, r.At = lease.ToLater, o.NotBefore
	}
	if !c.involved(o, death) {
		return r
	}
	if o.Deliveries >= lease.HeldDeliveries && death.heldFor(o.Idle) >= c.StableAfter {
		r.Crashes = 0
		return r
	}
	// The count is on the entry, where a producer can write what it likes.
	r.Crashes = min(max(o.Crashes, 0), c.mostCrashes()-1) + 1
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

func crashReason(crashes int) string {
	return fmt.Sprintf("crashes: its owners died again and again (crash count %d)", crashes)
}

// crashLimit is MaxCrashes as a number.
func (c Config) crashLimit() int { return min(max(c.MaxCrashes, 0), math.MaxInt/4) }
