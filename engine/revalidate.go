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

// rushes are what notices ask for. The zero value asks for nothing.
type rushes struct {
	mu struct {
		sync.Mutex
		parts []rush // by partition; nil before anything was asked for
	}
}

// rush is what was asked for in one partition, and from when on it may be done.
type rush struct {
	opened, ended       bool
	nextOpened, nextEnd int64
	looked              int64         // when the leases were looked at last for a window that was opened
	quiet               int64         // until when windows that are not much longer than this one wait
	length              time.Duration // of the window that many leases were renewed for last
}

// notice asks for renewals in a partition since a window was opened there, or has ended.
func (r *rushes) notice(e *Engine, partition int, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.parts == nil {
		r.mu.parts = make([]rush, len(e.partitions))
	}
	x := &r.mu.parts[partition]
	if !open {
		x.ended = true
		return
	}
	x.opened, x.nextOpened = true, x.looked+int64(rushGap)
}

// renewNoticed has renewed what notices ask for, and returns when there is more to do. It is called by the renewer's loop.
func (m *maintenance) renewNoticed(now int64) (next int64) {
	e, r := m.e, &m.rushes
	r.mu.Lock()
	defer r.mu.Unlock()
	next = math.MaxInt64
	for n := range r.mu.parts {
		x, p := &r.mu.parts[n], e.partitions[n]
		if x.opened && now >= x.nextOpened {
			m.renewUncovered(p, x, now)
		}
		if x.ended && now >= x.nextEnd {
			x.ended, x.nextEnd = false, now+int64(e.cfg.interval)
			m.renewAll(p, now)
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
func (m *maintenance) renewUncovered(p *partition, x *rush, now int64) {
	e := m.e
	s, _ := p.view()
	window := m.window(p)
	x.opened, x.looked = false, now
	if s == nil || window == 0 {
		return
	}
	believed := func(ttl time.Duration) int64 { return int64(ttl + window - e.cfg.margin(ttl+window)) }
	if s.Until() < now+believed(e.cfg.sessionTTL)-int64(e.cfg.beat) {
		e.renewer.beatNow(p.number)
	}
	if now < x.quiet && window < x.length+e.pressure.slack/2 {
		x.opened, x.nextOpened = true, x.quiet
		return
	}
	// As much as one that was renewed an interval ago would have, had the window been open then.
	needs := now + believed(e.cfg.leaseTTL) - int64(e.cfg.interval)
	p.needs.Store(needs)
	count := e.table.Hasten(s, func(l *lease.Lease) (int64, bool) { return e.soon(now), l.Until() < needs })
	if m.bunched(p, now, count) {
		x.quiet, x.length = now+int64(e.cfg.interval), window
	}
}

// renewAll has renewed all that is held in a partition.
func (m *maintenance) renewAll(p *partition, now int64) {
	e := m.e
	raise(&p.rushed, now)
	if s, _ := p.view(); s != nil {
		m.bunched(p, now, e.table.Hasten(s, func(*lease.Lease) (int64, bool) { return e.soon(now), true }))
	}
	e.renewer.beatNow(p.number)
}

// soon is a time within rushSpread.
func (e *Engine) soon(now int64) int64 { return now + int64(float64(rushSpread)*e.random()) }

// bunched notes that so many leases of a partition were made due together, and reports whether they are many.
func (m *maintenance) bunched(p *partition, now int64, count int) bool {
	many := count*bunchShare > m.e.table.Count(p.number)
	if many {
		raise(&p.bunched, now)
	}
	return many
}
