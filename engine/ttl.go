package engine

import (
	"time"

	"github.com/streamlease/streamlease/lease"
)

// ttls makes the TTLs of each call, and derives timeouts, the pace of beats and the times of renewals from them.
type ttls struct {
	*env
	store   store
	windows windows
}

// windows is what ttls needs to know of maintenance.
type windows interface {
	window(p *partition) time.Duration // length of the longest that is open for a partition; 0: none is
	reach() time.Duration              // greatest TTL that a session may come to have
	relaxed() time.Duration            // a longer timeout, for now; 0: there is none
}

// callTTLs are the TTLs that one call asks Redis for, and how long sessions and leases may be believed in if it succeeds, counted
// from when it was sent.
type callTTLs struct {
	store                 // sends them
	sent    int64         // on the clock's axis
	session time.Duration // the session's TTL less its margin; trust bounds it by what has been on record for long enough
	lease   time.Duration // the TTL of leases less its margin
	window  time.Duration // length of the maintenance window by which both are longer; 0: none

	ttls *ttls
	p    *partition
}

// forCall returns the TTLs of a call that is sent now. While a maintenance window is open, they are longer by its length.
//
// A TTL replaces the one before. So a call never asks for less than what is left of what an earlier one asked for, whatever
// became of the answer: a longer TTL, once sent, runs out by itself. What is left of it is asked for again, not believed again.
func (s *ttls) forCall(p *partition) callTTLs {
	c := s.cfg
	t := callTTLs{
		store: s.store, ttls: s, p: p, sent: s.clock.Now(),
		session: c.sessionTTL - c.sessionMargin, lease: c.leaseTTL - c.leaseMargin,
	}
	session, leases := c.sessionTTL, c.leaseTTL
	if window := s.windows.window(p); window > 0 {
		t.window = window
		session += window
		leases += window
		t.session, t.lease = session-c.margin(session), leases-c.margin(leases)
		storeMax(&p.stretched.session, t.sent+int64(session))
		storeMax(&p.stretched.lease, t.sent+int64(leases))
	}
	session = max(session, time.Duration(p.stretched.session.Load()-t.sent))
	leases = max(leases, time.Duration(p.stretched.lease.Load()-t.sent))
	reach := s.windows.reach()
	firm := time.Duration(p.firm.Load())
	if session != c.sessionTTL || leases != c.leaseTTL || reach != c.sessionTTL || firm != 0 {
		other := lease.Terms{SessionTTL: session, LeaseTTL: leases, Reach: reach}
		if firm != 0 {
			other.Timeout = min(s.timeout(), c.timeoutFor(firm))
		}
		t.store = s.store.With(other)
	}
	return t
}

// trust returns how long a session may be believed in, counted from when this call was sent, which was answered with b: its TTL
// less the margin, but no longer than what has been on record for long enough. A server that takes over may have forgotten the
// rest, and settles for no longer than what it knows.
func (t callTTLs) trust(b lease.Beat) time.Duration {
	if b.Firm == 0 || !t.ttls.cfg.settle {
		return t.session
	}
	return min(t.session, t.ttls.cfg.trustFor(b.Firm))
}

// timeout returns the timeout of one attempt, for now: it is longer during maintenance.
func (s *ttls) timeout() time.Duration { return max(s.cfg.timeout, s.windows.relaxed()) }

// excused reports whether failures in a partition are no surprise: an outage was announced, and the session was lengthened for it.
func (s *ttls) excused(p *partition) bool { return s.windows.window(p) > 0 }

// noteFirm notes how long a TTL sessions may rely on, which decides how often beats are sent.
func (s *ttls) noteFirm(p *partition, b lease.Beat) {
	firm := b.Firm
	if firm >= s.cfg.sessionTTL || !s.cfg.settle {
		firm = 0
	}
	p.firm.Store(int64(firm))
}

// pace returns the time between two beats of a partition.
func (s *ttls) pace(p *partition) time.Duration {
	if firm := time.Duration(p.firm.Load()); firm != 0 {
		return min(s.cfg.beat, firm/beatsPerSession)
	}
	return s.cfg.beat
}

// trustFor returns how long a session may be believed in that can rely on a TTL shorter than the configured one. Its margin is
// what clocks need. Ticks of the wheel may take up more, which makes notifications late and does nothing else.
func (c *config) trustFor(ttl time.Duration) time.Duration {
	return ttl - min(c.margin(ttl), ttl/shortMargin)
}

// timeoutFor returns the timeout of one attempt while sessions last only that long: two attempts fit.
func (c *config) timeoutFor(ttl time.Duration) time.Duration {
	return max((c.trustFor(ttl)-ttl/beatsPerSession)/2, MinTimeout).Truncate(time.Millisecond)
}

// shortMargin bounds the margin of a TTL in trustFor: at most one part in so many.
const shortMargin = 4

// nextRenewal returns when a lease that this call renewed is renewed next: soon if a window has ended since the call was sent, or
// one has opened that requires more than the lease has. After many leases were renewed together, their next renewals are spread
// out, or they would stay together.
func (t callTTLs) nextRenewal(l *lease.Lease) int64 {
	switch bunched := t.p.bunchedAt.Load(); {
	case t.outdated() || l.Until() < t.p.neededUntil.Load() && t.window < t.ttls.windows.window(t.p):
		return soon(t.ttls.env, t.ttls.clock.Now())
	case bunched != 0 && t.sent <= bunched+int64(t.ttls.cfg.interval)/2:
		return t.ttls.firstRenewal()
	}
	return t.ttls.nextRenewal()
}

// firstRenewal returns when a lease that this call acquired is first renewed.
func (t callTTLs) firstRenewal() int64 {
	if t.outdated() || t.window < t.ttls.windows.window(t.p) {
		return soon(t.ttls.env, t.ttls.clock.Now())
	}
	return t.ttls.firstRenewal()
}

// outdated reports whether what this call renewed or acquired has to be renewed again because a window has ended.
func (t callTTLs) outdated() bool { return t.sent <= t.p.revalidatedAt.Load() }

// nextRenewal returns when a lease that was just renewed is renewed next: after the interval, less a random share of it that is
// drawn each time, so that leases taken together do not stay together.
func (s *ttls) nextRenewal() int64 {
	return s.clock.Now() + int64(float64(s.cfg.interval)*(1-jitterShare*s.random()))
}

// firstRenewal returns when a lease that was just acquired is first renewed: the leases of one acquisition are spread over a whole
// interval.
func (s *ttls) firstRenewal() int64 {
	return s.clock.Now() + int64(float64(s.cfg.interval)*(firstShare+(1-firstShare)*s.random()))
}

// firstShare is the least share of an interval after which a lease that was just acquired is renewed.
const firstShare = 0.1
