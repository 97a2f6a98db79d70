package engine

import (
	"time"

	"github.com/streamlease/streamlease/lease"
)

// ttls make the callTTLs of calls, and say what follows from them.
type ttls struct {
	*env
	store   store
	windows windows
}

// windows is what ttls have to know of maintenance.
type windows interface {
	window(p *partition) time.Duration // the length of the longest that is open for a partition; 0: none is
	reach() time.Duration              // the greatest TTL that a session may come to have
	relaxed() time.Duration            // a timeout that is longer for now; 0: none is
}

// callTTLs are what one call asks of Redis, and what may be believed from when it was sent if it succeeds.
type callTTLs struct {
	store
	sent    int64
	session time.Duration // the session's TTL, less its margin, if trust finds that long enough on record
	lease   time.Duration // that of leases
	window  time.Duration // that of maintenance by which they are longer

	ttls *ttls
	p    *partition
}

// forCall are those of a call that is sent now. While a window of maintenance is open, TTLs are longer by its length.
//
// A TTL replaces the one before, so a call never asks for less than an earlier one was promised, whatever became of the
// answer: what was lengthened once runs out by itself. It is asked for again, not believed again.
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
		raise(&p.stretched.session, t.sent+int64(session))
		raise(&p.stretched.lease, t.sent+int64(leases))
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

// trust is how long a session may be believed in, from when a beat was sent on these terms that answered b: its TTL less the
// margin, but no longer than what has been on record for long enough. A server that takes over may have forgotten the rest,
// and settles for no longer than what it knows.
func (t callTTLs) trust(b lease.Beat) time.Duration {
	if b.Firm == 0 || !t.ttls.cfg.settle {
		return t.session
	}
	return min(t.session, t.ttls.cfg.trustFor(b.Firm))
}

// timeout is that of one attempt, for now.
func (s *ttls) timeout() time.Duration { return max(s.cfg.timeout, s.windows.relaxed()) }

// noteFirm notes how long sessions may be believed in, which says how often they are beaten.
func (s *ttls) noteFirm(p *partition, b lease.Beat) {
	firm := b.Firm
	if firm >= s.cfg.sessionTTL || !s.cfg.settle {
		firm = 0
	}
	p.firm.Store(int64(firm))
}

// pace is the time between two beats of a partition.
func (s *ttls) pace(p *partition) time.Duration {
	if firm := time.Duration(p.firm.Load()); firm != 0 {
		return min(s.cfg.beat, firm/beatsPerSession)
	}
	return s.cfg.beat
}

// trustFor is how long a session may be believed in whose TTL is shorter than the one that this process was made for. Its
// margin is what clocks need; ticks of the wheel, which may take up more, make notifications late and nothing else.
func (c *config) trustFor(ttl time.Duration) time.Duration {
	return ttl - min(c.margin(ttl), ttl/shortMargin)
}

// timeoutFor is that of one attempt while a session lasts that long only: two fit.
func (c *config) timeoutFor(ttl time.Duration) time.Duration {
	return max((c.trustFor(ttl)-ttl/beatsPerSession)/2, MinTimeout).Truncate(time.Millisecond)
}

// shortMargin is the share of a TTL that is left as its margin at most.
const shortMargin = 4

// nextRenewal is when a lease that was renewed on these terms is renewed next: soon if a window has ended since they were
// made, or one was opened that asks for more than the lease has. After many were renewed together they are spread anew, or
// they would stay together.
func (t callTTLs) nextRenewal(l *lease.Lease) int64 {
	switch bunched := t.p.bunched.Load(); {
	case t.outdated() || l.Until() < t.p.needs.Load() && t.window < t.ttls.windows.window(t.p):
		return soon(t.ttls.env, t.ttls.clock.Now())
	case bunched != 0 && t.sent <= bunched+int64(t.ttls.cfg.interval)/2:
		return t.ttls.firstRenewal()
	}
	return t.ttls.nextRenewal()
}

// firstRenewal is when a lease that was acquired on these terms is renewed first.
func (t callTTLs) firstRenewal() int64 {
	if t.outdated() || t.window < t.ttls.windows.window(t.p) {
		return soon(t.ttls.env, t.ttls.clock.Now())
	}
	return t.ttls.firstRenewal()
}

// outdated reports whether what was sent on these terms has to be renewed since a window has ended.
func (t callTTLs) outdated() bool { return t.sent <= t.p.rushed.Load() }

// nextRenewal is when a lease that was just renewed is renewed next: the interval, less a share drawn anew each time,
// so that what was taken at once does not stay together.
func (s *ttls) nextRenewal() int64 {
	return s.clock.Now() + int64(float64(s.cfg.interval)*(1-jitterShare*s.random()))
}

// firstRenewal spreads the leases of one acquisition over a whole interval.
func (s *ttls) firstRenewal() int64 {
	return s.clock.Now() + int64(float64(s.cfg.interval)*(firstShare+(1-firstShare)*s.random()))
}

const (
	jitterShare = 0.1
	firstShare  = 0.1
)
