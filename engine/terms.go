package engine

import (
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// terms are what one call asks of Redis, and what may be believed from when it was sent if it succeeds.
type terms struct {
	store
	sent    int64
	session time.Duration // the session's TTL, less its margin
	lease   time.Duration // that of leases
}

// stretched is how far the longer TTLs reach that have gone out: no deadline of the partition lies beyond them, as
// Redis has it or as this process believes it. Each is on the clock's axis; 0: none has.
type stretched struct{ session, lease atomic.Int64 }

// terms are those of a call that is sent now. While a window of maintenance is open, TTLs are longer by its length.
//
// A TTL replaces the one before, so a call never asks for less than an earlier one was promised, whatever became of the
// answer: what was lengthened once runs out by itself. It is asked for again, not believed again.
func (e *Engine) terms(p *partition) terms {
	c := e.cfg
	t := terms{store: e.store, sent: e.clock.Now(), session: c.sessionTTL - c.sessionMargin, lease: c.leaseTTL - c.leaseMargin}
	session, leases := c.sessionTTL, c.leaseTTL
	if window := e.maintenance.window(p); window > 0 {
		session += window
		leases += window
		t.session, t.lease = session-c.margin(session), leases-c.margin(leases)
		raise(&p.stretched.session, t.sent+int64(session))
		raise(&p.stretched.lease, t.sent+int64(leases))
	}
	session = max(session, time.Duration(p.stretched.session.Load()-t.sent), e.maintenance.record(p))
	leases = max(leases, time.Duration(p.stretched.lease.Load()-t.sent))
	if session != c.sessionTTL || leases != c.leaseTTL {
		t.store = e.store.With(lease.Terms{SessionTTL: session, LeaseTTL: leases})
	}
	return t
}

// raise makes at the later of two points.
func raise(at *atomic.Int64, to int64) {
	for {
		old := at.Load()
		if to <= old || at.CompareAndSwap(old, to) {
			return
		}
	}
}
