package engine

import (
	"math"
	"sync"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// What is renewed because of maintenance notices, and how soon.
//
// A window that opens calls for longer TTLs than the last renewals asked for, so leases are renewed before they are due. Only
// those that are not covered need it: a lease is left alone if it is believed in for as long as one that is renewed on schedule
// while the window is open. While a window is open, or has just been, that is every lease, so notices that come again and again
// cost next to nothing. Windows that end before anything was renewed cover nothing. So after many leases of a partition were
// renewed early, that is done again only after an interval, in which all are renewed on schedule, or for a window that is longer
// than the one before by more than half of the slack that a lease has: it would outlive them.
//
// When a window has ended, everything is renewed once more, since a server may have forgotten some of it without having changed
// (one that has changed shows that in its next answer, see sessions.revalidateAll). That is done at most once per interval and
// partition. Windows that end sooner have to wait, and one renewal does for all of them.
//
// So whatever is announced, notices add two renewals per lease and interval, and one more for each half of the slack by which
// windows grow, of which there are two with the defaults. Each time, the renewals are spread over revalidationSpread, on the
// wheel like all renewals. None of this changes what is believed: a deadline moves only with the answer to a renewal, and a
// renewal that is made later than it might have been is one of the ordinary ones.
const (
	// revalidationSpread is the time over which the renewals that a notice asks for are spread: half of the 2 s that servers
	// leave between a notice and what it announces.
	revalidationSpread = time.Second
	// revalidationGap is the shortest time between two looks at the leases of a partition because windows opened.
	revalidationGap = time.Second
	// bunchShare: if less than one in this many leases was made due together, their later renewals need no spreading.
	bunchShare = 10
)

// revalidations keeps what notices ask for, and makes it due.
type revalidations struct {
	*env
	table      *lease.Table
	partitions []*partition
	window     func(p *partition) time.Duration // as maintenance has it
	beatNow    func(partition int)              // sends a beat for a partition at the next look
	slack      time.Duration                    // how late a renewal may be before its lease is lost

	mu struct {
		sync.Mutex
		parts []revalidation // by partition; nil before anything was asked for
	}
}

// revalidation is what was asked for in one partition, and from when it may be done.
type revalidation struct {
	opened, ended       bool          // a window has; nothing was done about it yet
	nextOpened, nextEnd int64         // the earliest time to do so
	looked              int64         // when the leases were last looked at because a window had opened
	quiet               int64         // until when windows that are not much longer than length wait
	length              time.Duration // of the window for which many leases were last renewed
}

// windowChanged asks for renewals in a partition because a window has opened or ended there.
func (r *revalidations) windowChanged(partition int, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.parts == nil {
		r.mu.parts = make([]revalidation, len(r.partitions))
	}
	x := &r.mu.parts[partition]
	if !open {
		x.ended = true
		return
	}
	x.opened, x.nextOpened = true, x.looked+int64(revalidationGap)
}

// look makes due what notices ask for, and returns when there is more to do. The renewer's loop calls it.
func (r *revalidations) look(now int64) (next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = math.MaxInt64
	for n := range r.mu.parts {
		x, p := &r.mu.parts[n], r.partitions[n]
		if x.opened && now >= x.nextOpened {
			r.hastenUncovered(p, x, now)
		}
		if x.ended && now >= x.nextEnd {
			x.ended, x.nextEnd = false, now+int64(r.cfg.interval)
			r.hastenAll(p, now)
		}
		if x.opened {
			next = min(next, x.nextOpened)
		}
		if x.ended {
			next = min(next, x.nextEnd)
		}
	}
	return next
}

// hastenUncovered makes due what is not believed in for as long as the open window requires.
func (r *revalidations) hastenUncovered(p *partition, x *revalidation, now int64) {
	s, _ := p.view()
	window := r.window(p)
	x.opened, x.looked = false, now
	if s == nil || window == 0 {
		return
	}
	believed := func(ttl time.Duration) int64 { return int64(ttl + window - r.cfg.margin(ttl+window)) }
	if s.Until() < now+believed(r.cfg.sessionTTL)-int64(r.cfg.beat) {
		r.beatNow(p.number)
	}
	if now < x.quiet && window < x.length+r.slack/2 {
		x.opened, x.nextOpened = true, x.quiet
		return
	}
	// As long as a lease would be that was renewed an interval ago, if the window had been open then.
	needed := now + believed(r.cfg.leaseTTL) - int64(r.cfg.interval)
	p.neededUntil.Store(needed)
	count := r.table.Hasten(s, func(l *lease.Lease) (int64, bool) { return soon(r.env, now), l.Until() < needed })
	if r.noteBunch(p, now, count) {
		x.quiet, x.length = now+int64(r.cfg.interval), window
	}
}

// hastenAll makes due all that is held in a partition.
func (r *revalidations) hastenAll(p *partition, now int64) {
	storeMax(&p.revalidatedAt, now)
	if s, _ := p.view(); s != nil {
		r.noteBunch(p, now, r.table.Hasten(s, func(*lease.Lease) (int64, bool) { return soon(r.env, now), true }))
	}
	r.beatNow(p.number)
}

// soon returns a random time within revalidationSpread.
func soon(e *env, now int64) int64 { return now + int64(float64(revalidationSpread)*e.random()) }

// noteBunch notes that so many leases of a partition were made due together, and reports whether they are many.
func (r *revalidations) noteBunch(p *partition, now int64, count int) bool {
	many := count*bunchShare > r.table.Count(p.number)
	if many {
		storeMax(&p.bunchedAt, now)
	}
	return many
}
