package engine

import (
	"math"
	"sync"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// What notices of maintenance have renewed, and how soon.
//
// A window that opens asks for longer TTLs than were asked for before, so leases are renewed before their time. Only those
// need it that are not covered: a lease that is believed in for as long as one that is renewed in its turn while the window
// is open is left alone. While a window is open, or has just been, that is every lease, so notices that come again and again
// cost next to nothing. Windows that end before anything was renewed cover nothing; so after many leases of a partition were
// renewed early, that is done again only after an interval, in which all are renewed in their turn, or for a window that is
// longer than the one before by more than half of the slack that a lease has: it would outlive them.
//
// A window that has ended has everything renewed once more, since a server may have forgotten some of it without having
// changed (one that has changed says so in its next answer, see Engine.rush). That is done for a partition at most once in an
// interval. What comes sooner waits, and is done in one go.
//
// So whatever is announced, notices add two renewals a lease and interval, and one more for each half of the slack by which
// windows grow, of which there are two with the defaults. Each time the leases are spread over rushSpread, on the wheel like
// all renewals. None of it changes what is believed: a deadline moves only by an answer to what was asked for (G1), and a
// renewal that is made later than it might have been is one of the ordinary ones.
const (
	// rushSpread is over how long renewals are spread that a notice asks for: a half of the 2 s that servers leave between a
	// notice and what it announces.
	rushSpread = time.Second
	// rushGap is the shortest time between two looks at the leases of a partition for windows that opened.
	rushGap = time.Second
	// bunchShare: where fewer of the leases than this were made due together, they need no spreading afterwards.
	bunchShare = 10
)

// revalidations are what notices ask for, and have it done. At first nothing is.
type revalidations struct {
	*env
	table      *lease.Table
	partitions []*partition
	window     func(p *partition) time.Duration // see windows
	beatNow    func(partition int)              // has a partition beaten at the next look
	slack      time.Duration                    // how late a renewal may be before its lease is lost

	mu struct {
		sync.Mutex
		parts []revalidation // by partition; nil before anything was asked for
	}
}

// revalidation is what was asked for in one partition, and from when on it may be done.
type revalidation struct {
	opened, ended       bool
	nextOpened, nextEnd int64
	looked              int64         // when the leases were looked at last for a window that was opened
	quiet               int64         // until when windows that are not much longer than this one wait
	length              time.Duration // of the window that many leases were renewed for last
}

// windowChanged asks for renewals in a partition since a window was opened there, or has ended.
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
	x.opened, x.nextOpened = true, x.looked+int64(rushGap)
}

// look has renewed what notices ask for, and returns when there is more to do. It is called by the renewer's loop.
func (r *revalidations) look(now int64) (next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = math.MaxInt64
	for n := range r.mu.parts {
		x, p := &r.mu.parts[n], r.partitions[n]
		if x.opened && now >= x.nextOpened {
			r.renewUncovered(p, x, now)
		}
		if x.ended && now >= x.nextEnd {
			x.ended, x.nextEnd = false, now+int64(r.cfg.interval)
			r.renewAll(p, now)
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

// renewUncovered has renewed what is not believed in for as long as the window that is open asks for.
func (r *revalidations) renewUncovered(p *partition, x *revalidation, now int64) {
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
	// As much as one that was renewed an interval ago would have, had the window been open then.
	needs := now + believed(r.cfg.leaseTTL) - int64(r.cfg.interval)
	p.needs.Store(needs)
	count := r.table.Hasten(s, func(l *lease.Lease) (int64, bool) { return soon(r.env, now), l.Until() < needs })
	if r.bunched(p, now, count) {
		x.quiet, x.length = now+int64(r.cfg.interval), window
	}
}

// renewAll has renewed all that is held in a partition.
func (r *revalidations) renewAll(p *partition, now int64) {
	raise(&p.rushed, now)
	if s, _ := p.view(); s != nil {
		r.bunched(p, now, r.table.Hasten(s, func(*lease.Lease) (int64, bool) { return soon(r.env, now), true }))
	}
	r.beatNow(p.number)
}

// soon is a time within rushSpread.
func soon(e *env, now int64) int64 { return now + int64(float64(rushSpread)*e.random()) }

// bunched notes that so many leases of a partition were made due together, and reports whether they are many.
func (r *revalidations) bunched(p *partition, now int64, count int) bool {
	many := count*bunchShare > r.table.Count(p.number)
	if many {
		raise(&p.bunched, now)
	}
	return many
}
