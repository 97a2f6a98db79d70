package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// Why sessions and leases end, as Disowned and the logs have it.
var (
	errSessionPast = fmt.Errorf("%w: no beat succeeded in time", api.ErrSessionLost)
	errSessionDead = fmt.Errorf("%w: the server counts it as past its deadline", api.ErrSessionLost)
	errLeasePast   = fmt.Errorf("%w: no renewal succeeded in time", api.ErrLeaseLost)
	errLeaseTaken  = fmt.Errorf("%w: it is gone from Redis or somebody else's", api.ErrLeaseLost)
	errLeaseGone   = fmt.Errorf("%w: the server forgot it", api.ErrLeaseLost)
	errForgotten   = fmt.Errorf("%w: the server forgot it", api.ErrAnnouncementLost)
)

// newConsumerName is a name that no run of any process had before.
func newConsumerName(id string) string { return id + "." + rand.Text()[:12] }

// openIfNeeded returns the partition's session, after opening one if there is none and making the group again if that
// is gone; nil when it could not.
func (e *Engine) openIfNeeded(ctx context.Context, p *partition) *lease.Session {
	p.mu.Lock()
	s, name, reopen := p.mu.session, p.mu.name, p.mu.reopen
	p.mu.Unlock()
	if s != nil && s.Remaining() == 0 {
		e.loseSession(p, s, errSessionPast)
		s = nil
		p.mu.Lock()
		name = p.mu.name
		p.mu.Unlock()
	}
	if s != nil && !reopen {
		return s
	}
	if s != nil {
		name = s.Consumer()
	} else if e.life.drain.Err() != nil || !e.agreement.begun() || e.agreement.disagrees() != nil {
		return nil // nothing is taken yet, or nothing more
	}
	_, epoch := p.view()
	t := e.ttls.forCall(p)
	b, err := t.Open(ctx, p.number, name, api.Token(p.floor.Load()))
	if err != nil {
		e.metrics.Opened(false)
		if ctx.Err() == nil {
			e.renewer.beatAfter(p.number, e.clock.Now()+int64(p.failing(e, err)))
		}
		return s // renewal does not wait for the group
	}
	e.metrics.Opened(true)
	p.recovered(e)
	p.agreed.Store(e.agreement.ticket()) // before the session is there for readers to see
	if s != nil {
		p.mu.Lock()
		p.mu.reopen = false
		// The group begins at 0 again: what is read next may have lower IDs than what was.
		p.mu.read.last, p.mu.read.since = "", ""
		p.mu.Unlock()
		if !e.heard(p, s, epoch, t, b) && s.Remaining() == 0 {
			return nil
		}
		return s
	}
	s = e.opened(p, name, t, b)
	if why := e.agreement.disagrees(); why != nil && s != nil {
		// Found out while it was being opened.
		e.loseSession(p, s, disagreement(why))
		return nil
	}
	return s
}

// opened puts a new session in its place, unless the answer came too late for it.
func (e *Engine) opened(p *partition, name string, t callTTLs, b lease.Beat) *lease.Session {
	s := lease.NewSession(e.base, e.clock, p.number, name, t.sent, t.trust(b))
	e.ttls.noteFirm(p, b)
	if b.Status == lease.SessionLost || s.Remaining() == 0 {
		p.mu.Lock()
		p.mu.name = newConsumerName(e.cfg.consumerID)
		p.mu.Unlock()
		e.renewer.beatNow(p.number)
		return nil
	}
	p.mu.Lock()
	p.mu.session, p.mu.reopen = s, false
	p.mu.read.last, p.mu.read.lost, p.mu.read.compare = "", false, e.nextComparison()
	p.mu.read.compared, p.mu.read.attend, p.mu.read.rest = 0, e.nextAttendance(), 0
	if p.mu.server != b.Server {
		p.mu.server = b.Server
		p.mu.epoch++
	}
	close(p.mu.opened)
	p.mu.opened = make(chan struct{})
	p.mu.Unlock()
	e.event(api.EventSessionOpened, p.number, nil, name)
	e.settling(p, b.Settling)
	e.told(p, b)
	return s
}

// heard takes in what a beat answered, whichever script carried it. It reports whether what was sent along with it,
// on these terms, in that epoch, may be believed: the session lives, and its server is the one that was asked then.
func (e *Engine) heard(p *partition, s *lease.Session, epoch uint64, t callTTLs, b lease.Beat) bool {
	if b.Status == lease.SessionLost {
		e.loseSession(p, s, errSessionDead)
		return false
	}
	p.mu.Lock()
	changed := b.Status == lease.SessionMade || b.Server != p.mu.server
	if changed {
		p.mu.server = b.Server
		p.mu.epoch++
		p.mu.read.all = true
	}
	same := p.mu.epoch == epoch
	p.mu.Unlock()
	if changed {
		e.agreement.ticket() // a server that forgot sessions may have forgotten more
		e.rush(p, s)
	}
	e.ttls.noteFirm(p, b)
	if !s.Extend(t.sent, t.trust(b)) {
		e.loseSession(p, s, errSessionPast)
		return false
	}
	e.settling(p, b.Settling)
	e.told(p, b)
	return same
}

// rush doubts every lease of a session whose server may have forgotten some: until a renewal sent from now on says
// otherwise, each lasts no longer than the session would have without this answer, which is less than settling does.
func (e *Engine) rush(p *partition, s *lease.Session) {
	now := e.clock.Now()
	e.table.RevalidateAll(s, max(s.Until(), 1), func(*lease.Lease) int64 { return now })
	e.renewer.nudge()
	e.maintenance.serverChanged()
}

// told passes on what else a beat tells.
func (e *Engine) told(p *partition, b lease.Beat) {
	p.dead.Store(int64(b.Dead))
	if b.Due >= 0 {
		p.due.Store(int64(b.Due))
	}
	if b.Due > 0 {
		e.promoter.Add(p.number)
	}
	if b.Dead > 0 && e.life.isRunning() {
		e.recoverer.alarm(p.number)
	}
}

// settling notes whether the partition settles, and says so when that changes.
func (e *Engine) settling(p *partition, on bool) {
	p.mu.Lock()
	was := p.mu.settling
	p.mu.settling = on
	p.mu.Unlock()
	switch {
	case on && !was:
		e.event(api.EventSettlingStarted, p.number, nil, "the server changed or is new; what is free is not taken yet")
	case was && !on:
		e.event(api.EventSettlingEnded, p.number, nil, "")
	}
}

// loseSession ends a session and every lease of it, hands back all that is pending for it, and has a new one opened.
// Only the first call for a session does anything.
func (e *Engine) loseSession(p *partition, s *lease.Session, cause error) {
	p.mu.Lock()
	if p.mu.session != s {
		p.mu.Unlock()
		return
	}
	p.mu.session = nil
	p.mu.name = newConsumerName(e.cfg.consumerID)
	p.mu.Unlock()
	p.firm.Store(0) // the next one is opened with all the patience there is, and asks anew
	s.End()
	e.parked.list.Drop(s) // before streams are freed, each of which would have its parked entry asked for
	held := 0
	for l := range e.table.Of(s) {
		if e.ownership.disownOne(l, metrics.CauseSession, cause) {
			held++
		}
	}
	e.completer.Retire(s, 0)
	e.metrics.Inc(metrics.SessionsLost)
	e.event(api.EventSessionLost, p.number, cause, fmt.Sprintf("%d streams disowned", held))
	e.renewer.beatNow(p.number)
}

// failing notes that beats of the partition fail, and returns how long to wait before the next.
func (p *partition) failing(e *Engine, err error) time.Duration {
	p.mu.Lock()
	first := p.mu.failing == nil
	p.mu.failing = err
	p.mu.failed++
	failed := p.mu.failed
	p.mu.Unlock()
	e.topology.failed(err)
	if first {
		e.event(api.EventRedisUnreachable, p.number, lease.Explain(err), "")
	} else {
		e.log.Warn("beats fail", 1, "partition", p.number, "err", lease.Explain(err))
	}
	return min(e.backoff(failed), e.ttls.pace(p))
}

// recovered notes that beats succeed again.
func (p *partition) recovered(e *Engine) {
	p.mu.Lock()
	was := p.mu.failing
	p.mu.failing, p.mu.failed = nil, 0
	p.mu.Unlock()
	e.topology.worked()
	e.breakers.answered(p.number)
	if was != nil {
		e.event(api.EventRedisReachable, p.number, nil, "")
	}
}
