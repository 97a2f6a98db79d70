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

// beats are what sessions need of the renewer.
type beats interface {
	nudge()                                  // makes it look at what is due
	beatNow(partition int)                   // has a partition beaten, or opened, at its next look
	beatAfter(partition int, at int64)       // has it beaten, or opened, then
	rest(ctx context.Context, partition int) // waits until nothing is on its way for a partition, unless ctx ends first
}

// reachability takes note of whether servers answer.
type reachability interface {
	failed(err error)
	worked()
}

// sessionParts are what sessions work with. All are set before the first session is opened.
type sessionParts struct {
	base      context.Context // sessions end with it at the latest
	parts     []*partition
	ttls      *ttls
	table     *lease.Table
	ownership *ownership
	agreement *agreement
	renewer   beats
	topology  reachability

	draining      func() bool
	running       func() bool
	answered      func(partition int)              // the server of a partition answers
	serverChanged func()                           // another server answers than before
	drop          func(s *lease.Session)           // forgets what is parked for a session
	retire        func(s *lease.Session, by int64) // has all that is pending for a session requeued
	promote       func(partition int)              // entries of later are due
	alarm         func(partition int)              // consumers are dead
}

// sessions opens the session of each partition, takes in what beats answer, and ends sessions that are lost. The renewer's
// work calls it, and whoever finds out that a session is over.
type sessions struct {
	*env
	sessionParts
}

// openIfNeeded returns the partition's session, after opening one if there is none and making the group again if that
// is gone; nil when it could not.
func (k *sessions) openIfNeeded(ctx context.Context, p *partition) *lease.Session {
	p.mu.Lock()
	s, name, reopen := p.mu.session, p.mu.name, p.mu.reopen
	p.mu.Unlock()
	if s != nil && s.Remaining() == 0 {
		k.lose(p, s, errSessionPast)
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
	} else if k.draining() || !k.agreement.begun() || k.agreement.disagrees() != nil {
		return nil // nothing is taken yet, or nothing more
	}
	_, epoch := p.view()
	t := k.ttls.forCall(p)
	b, err := t.Open(ctx, p.number, name, api.Token(p.floor.Load()))
	if err != nil {
		k.metrics.Opened(false)
		if ctx.Err() == nil {
			k.renewer.beatAfter(p.number, k.clock.Now()+int64(k.failing(p, err)))
		}
		return s // renewal does not wait for the group
	}
	k.metrics.Opened(true)
	k.recovered(p)
	p.agreed.Store(k.agreement.ticket()) // before the session is there for readers to see
	if s != nil {
		p.mu.Lock()
		p.mu.reopen = false
		// The group begins at 0 again: what is read next may have lower IDs than what was.
		p.mu.read.last, p.mu.read.since = "", ""
		p.mu.Unlock()
		if !k.onBeat(p, s, epoch, t, b) && s.Remaining() == 0 {
			return nil
		}
		return s
	}
	s = k.opened(p, name, t, b)
	if why := k.agreement.disagrees(); why != nil && s != nil {
		// Found out while it was being opened.
		k.lose(p, s, disagreement(why))
		return nil
	}
	return s
}

// opened puts a new session in its place, unless the answer came too late for it.
func (k *sessions) opened(p *partition, name string, t callTTLs, b lease.Beat) *lease.Session {
	s := lease.NewSession(k.base, k.clock, p.number, name, t.sent, t.trust(b))
	k.ttls.noteFirm(p, b)
	if b.Status == lease.SessionLost || s.Remaining() == 0 {
		p.mu.Lock()
		p.mu.name = newConsumerName(k.cfg.consumerID)
		p.mu.Unlock()
		k.renewer.beatNow(p.number)
		return nil
	}
	p.mu.Lock()
	p.mu.session, p.mu.reopen = s, false
	p.mu.read.last, p.mu.read.lost, p.mu.read.compareAt = "", false, k.nextComparison()
	p.mu.read.comparedAt, p.mu.read.attendAt, p.mu.read.restUntil = 0, k.nextAttendance(), 0
	if p.mu.server != b.Server {
		p.mu.server = b.Server
		p.mu.epoch++
	}
	close(p.mu.opened)
	p.mu.opened = make(chan struct{})
	p.mu.Unlock()
	k.event(api.EventSessionOpened, p.number, nil, name)
	k.settling(p, b.Settling)
	k.onNews(p, b)
	return s
}

// onBeat takes in what a beat answered, whichever script carried it. It reports whether what was sent along with it,
// with these TTLs, in that epoch, may be believed: the session lives, and its server is the one that was asked then.
func (k *sessions) onBeat(p *partition, s *lease.Session, epoch uint64, t callTTLs, b lease.Beat) bool {
	if b.Status == lease.SessionLost {
		k.lose(p, s, errSessionDead)
		return false
	}
	p.mu.Lock()
	changed := b.Status == lease.SessionMade || b.Server != p.mu.server
	if changed {
		p.mu.server = b.Server
		p.mu.epoch++
		p.mu.read.compareAll = true
	}
	same := p.mu.epoch == epoch
	p.mu.Unlock()
	if changed {
		k.agreement.ticket() // a server that forgot sessions may have forgotten more
		k.revalidateAll(p, s)
	}
	k.ttls.noteFirm(p, b)
	if !s.Extend(t.sent, t.trust(b)) {
		k.lose(p, s, errSessionPast)
		return false
	}
	k.settling(p, b.Settling)
	k.onNews(p, b)
	return same
}

// revalidateAll makes every lease of a session due whose server may have forgotten some. Until a renewal sent from now on
// succeeds, each lasts no longer than the session would have without this answer, which is less than settling does.
func (k *sessions) revalidateAll(p *partition, s *lease.Session) {
	now := k.clock.Now()
	k.table.RevalidateAll(s, max(s.Until(), 1), func(*lease.Lease) int64 { return now })
	k.renewer.nudge()
	k.serverChanged()
}

// onNews passes on what else a beat reports.
func (k *sessions) onNews(p *partition, b lease.Beat) {
	p.dead.Store(int64(b.Dead))
	if b.Due >= 0 {
		p.due.Store(int64(b.Due))
	}
	if b.Due > 0 {
		k.promote(p.number)
	}
	if b.Dead > 0 && k.running() {
		k.alarm(p.number)
	}
}

// settling notes whether the partition settles, and reports it when that changes.
func (k *sessions) settling(p *partition, on bool) {
	p.mu.Lock()
	was := p.mu.settling
	p.mu.settling = on
	p.mu.Unlock()
	switch {
	case on && !was:
		k.event(api.EventSettlingStarted, p.number, nil, "the server changed or is new; what is free is not taken yet")
	case was && !on:
		k.event(api.EventSettlingEnded, p.number, nil, "")
	}
}

// lose ends a session and every lease of it, has all that is pending for it requeued, and has a new one opened.
// Only the first call for a session does anything.
func (k *sessions) lose(p *partition, s *lease.Session, cause error) {
	p.mu.Lock()
	if p.mu.session != s {
		p.mu.Unlock()
		return
	}
	p.mu.session = nil
	p.mu.name = newConsumerName(k.cfg.consumerID)
	p.mu.Unlock()
	p.firm.Store(0) // the next one is opened with the full TTL, and asks again
	s.End()
	k.drop(s) // before streams are freed: each would have its parked entry asked for
	held := 0
	for l := range k.table.Of(s) {
		if k.ownership.disownOne(l, metrics.CauseSession, cause) {
			held++
		}
	}
	k.retire(s, 0)
	k.metrics.Inc(metrics.SessionsLost)
	k.event(api.EventSessionLost, p.number, cause, fmt.Sprintf("%d streams disowned", held))
	k.renewer.beatNow(p.number)
}

// failing notes that beats of the partition fail, and returns how long to wait before the next.
func (k *sessions) failing(p *partition, err error) time.Duration {
	p.mu.Lock()
	first := p.mu.failing == nil
	p.mu.failing = err
	p.mu.failed++
	failed := p.mu.failed
	p.mu.Unlock()
	k.topology.failed(err)
	if first {
		k.event(api.EventRedisUnreachable, p.number, lease.Explain(err), "")
	} else {
		k.log.Warn("beats fail", 1, "partition", p.number, "err", lease.Explain(err))
	}
	return min(k.backoff(failed), k.ttls.pace(p))
}

// recovered notes that beats succeed again.
func (k *sessions) recovered(p *partition) {
	p.mu.Lock()
	was := p.mu.failing
	p.mu.failing, p.mu.failed = nil, 0
	p.mu.Unlock()
	k.topology.worked()
	k.answered(p.number)
	if was != nil {
		k.event(api.EventRedisReachable, p.number, nil, "")
	}
}

// Reopen implements completion.Sessions.
func (k *sessions) Reopen(partition int) {
	k.parts[partition].requestReopen()
	k.renewer.beatNow(partition)
}

// Delivering implements completion.Sessions.
func (k *sessions) Delivering(partition int, consumer string, now int64) bool {
	return k.parts[partition].delivering(consumer, now)
}

// Leave implements completion.Sessions.
func (k *sessions) Leave(ctx context.Context, s *lease.Session) {
	if k.parts[s.Partition()].leave(s) {
		k.renewer.rest(ctx, s.Partition())
	}
}

// Alive implements completion.Sessions.
func (k *sessions) Alive(partition int, consumer string) bool {
	s, _ := k.parts[partition].view()
	return s != nil && s.Consumer() == consumer && s.Remaining() > 0
}
