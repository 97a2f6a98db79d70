package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// Why sessions and leases end, as Disowned notifications and the log report it.
var (
	errSessionPast = fmt.Errorf("%w: no beat succeeded in time", api.ErrSessionLost)
	errSessionDead = fmt.Errorf("%w: its deadline has passed on the server's clock", api.ErrSessionLost)
	errLeasePast   = fmt.Errorf("%w: no renewal succeeded in time", api.ErrLeaseLost)
	errLeaseTaken  = fmt.Errorf("%w: it is gone from Redis or has another owner", api.ErrLeaseLost)
	errLeaseGone   = fmt.Errorf("%w: the server forgot it", api.ErrLeaseLost)
	errForgotten   = fmt.Errorf("%w: the server forgot it", api.ErrAnnouncementLost)
)

// beats is what sessions need of the renewer, which sends beats and opens sessions.
type beats interface {
	nudge()                                      // makes it look now at what is due
	beatNow(partition int)                       // makes it beat, or open, a partition at its next look
	beatAfter(partition int, at int64)           // makes it beat, or open, a partition at a given time
	waitIdle(ctx context.Context, partition int) // waits until nothing is on its way for a partition, unless ctx ends first
}

// reachability tracks whether servers answer.
type reachability interface {
	failed(err error) // called when a call failed
	worked()          // called when a call succeeded
}

// sessionParts are what sessions work with. All are set before the first session is opened.
type sessionParts struct {
	base       context.Context // sessions end with it at the latest
	partitions []*partition
	names      *consumerNames
	ttls       *ttls
	table      *lease.Table
	ownership  *ownership
	agreement  *agreement
	renewer    beats
	topology   reachability

	draining      func() bool                          // reports whether the engine drains
	running       func() bool                          // reports whether the engine runs
	answered      func(partition int)                  // called when the server of a partition answers
	serverChanged func()                               // called when another server answers than before
	made          func(s *lease.Session)               // called with each new session before anybody else has it
	report        func(partition int)                  // has the next call report all of this process's standing
	drop          func(s *lease.Session)               // forgets what is parked for a session
	retire        func(s *lease.Session)               // has everything requeued that is pending for a session
	promote       func(partition int)                  // called when entries of later are due
	promoteIn     func(partition int, d time.Duration) // called when none is, with the time until the next one is; 0: not soon
	alarm         func(partition int)                  // called when consumers are dead
	signals       *signals
}

// sessions opens the session of each partition, applies the answers to beats, and ends sessions that are lost. It is called by the
// renewer's work, and by whoever finds out that a session has ended.
type sessions struct {
	*env
	sessionParts
}

// openIfNeeded returns the partition's session. Before that, it opens one if there is none, and recreates the group if that is gone.
// It returns nil if there is no session afterwards.
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
		return nil // nothing may be acquired yet, or any more
	}
	_, epoch := p.view() // before the call: see onBeat
	t := k.ttls.forCall(p)
	b, err := t.Open(ctx, p.number, name, api.Token(p.floor.Load()))
	if err != nil {
		k.metrics.Opened(false)
		if ctx.Err() == nil {
			k.renewer.beatAfter(p.number, k.clock.Now()+int64(k.noteFailure(p, err)))
		}
		return s // renewals do not wait for the group
	}
	k.metrics.Opened(true)
	k.noteSuccess(p)
	p.agreed.Store(k.agreement.ticket()) // before readers can see the session
	if s != nil {
		p.mu.Lock()
		p.mu.reopen = false
		// The group starts at 0 again: the next IDs read may be lower than the last.
		p.mu.read.last, p.mu.read.since = "", ""
		p.mu.Unlock()
		if !k.onBeat(p, s, epoch, t, b) && s.Remaining() == 0 {
			return nil
		}
		return s
	}
	s = k.install(p, name, t, b)
	if why := k.agreement.disagrees(); why != nil && s != nil {
		// It was found out while the session was being opened.
		k.lose(p, s, disagreement(why))
		return nil
	}
	return s
}

// install makes a new session the partition's and returns it; nil if the answer came too late. The session's deadline counts from
// before the call that opened it was sent.
func (k *sessions) install(p *partition, name string, t callTTLs, b lease.Beat) *lease.Session {
	p.serverClock.answered(b, t.sent, k.clock.Now())
	s := lease.NewSession(k.base, k.clock, p.number, name, t.sent, t.trust(b))
	k.ttls.noteFirm(p, b)
	if b.Status == lease.SessionLost || s.Remaining() == 0 {
		p.mu.Lock()
		p.mu.name = k.names.next()
		p.mu.Unlock()
		k.renewer.beatNow(p.number)
		return nil
	}
	k.made(s)
	p.mu.Lock()
	p.mu.session, p.mu.reopen = s, false
	p.mu.read.last, p.mu.read.lost, p.mu.read.compareAt = "", false, k.nextComparison()
	p.mu.read.comparedAt, p.mu.read.attendAt, p.mu.read.restUntil = 0, k.nextAttendance(), 0
	k.signals.opened(p.number, b) // before anything is acquired
	if p.mu.server != b.Server {
		p.mu.server = b.Server
		p.mu.epoch++
	}
	close(p.mu.opened)
	p.mu.opened = make(chan struct{})
	p.mu.Unlock()
	k.event(api.EventSessionOpened, p.number, nil, name)
	if k.running() {
		k.log.Info("a session was opened after the start", "partition", p.number, "consumer", name)
	}
	k.setSettling(p, b.Settling)
	k.onReport(p, b)
	return s
}

// onBeat applies the answer to a beat, whichever script carried it. t and epoch are those read before the call was sent. It reports
// whether what else the call did may be believed: the session is alive, and its server is still the one of that epoch.
func (k *sessions) onBeat(p *partition, s *lease.Session, epoch uint64, t callTTLs, b lease.Beat) bool {
	p.serverClock.answered(b, t.sent, k.clock.Now())
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
		k.agreement.ticket() // asks soon: a server that forgot sessions may have forgotten the record, too
		k.report(p.number)   // what it has on record may be forgotten, too
		k.revalidateAll(p, s)
	}
	k.signals.onBeat(p.number, b, changed)
	k.ttls.noteFirm(p, b)
	if !s.Extend(t.sent, t.trust(b)) { // counts from before the call was sent
		k.lose(p, s, errSessionPast)
		return false
	}
	k.setSettling(p, b.Settling)
	k.onReport(p, b)
	return same
}

// revalidateAll makes every lease of a session due, since its server may have forgotten some. It caps each lease at the session's
// previous deadline, which is before the end of settling, until a renewal sent from now on succeeds.
func (k *sessions) revalidateAll(p *partition, s *lease.Session) {
	k.table.Distrust(s, max(s.Until(), 1), k.clock.Now())
	k.table.DoubtCheckpoints(s)
	k.renewer.nudge()
	k.serverChanged()
}

// onReport passes on what else a beat reports: how many consumers are dead, and how many entries of later are due, or how soon the
// next is. That counts from the answer, since the server answered no later: an entry is not asked for before it is due.
func (k *sessions) onReport(p *partition, b lease.Beat) {
	p.dead.Store(int64(b.Dead))
	if b.Due >= 0 {
		p.due.Store(int64(b.Due))
	}
	if b.Due > 0 {
		k.promote(p.number)
	}
	k.promoteIn(p.number, b.Next)
	if b.Dead > 0 && k.running() {
		k.alarm(p.number)
	}
}

// setSettling notes whether the partition is settling, and emits an event when that changes.
func (k *sessions) setSettling(p *partition, on bool) {
	p.mu.Lock()
	was := p.mu.settling
	p.mu.settling = on
	p.mu.Unlock()
	switch {
	case on && !was:
		k.event(api.EventSettlingStarted, p.number, nil, "the server changed or is new; free streams are not acquired yet")
	case was && !on:
		k.event(api.EventSettlingEnded, p.number, nil, "")
	}
}

// lose ends a session and all its leases, has everything requeued that is pending for it, and has a new session opened. Only the
// first call for a session has an effect.
func (k *sessions) lose(p *partition, s *lease.Session, cause error) {
	p.mu.Lock()
	if p.mu.session != s {
		p.mu.Unlock()
		return
	}
	p.mu.session = nil
	p.mu.name = k.names.next()
	p.mu.Unlock()
	p.firm.Store(0) // the next session is opened with the full TTL, and finds out again
	s.End()         // before drop: from now on nothing is parked for it any more
	k.drop(s)       // before streams are freed: freeing one would have its parked entry asked for
	held := 0
	for l := range k.table.Of(s) {
		if k.ownership.disownOne(l, metrics.CauseSession, cause) {
			held++
		}
	}
	k.retire(s)
	k.metrics.Inc(metrics.SessionsLost)
	k.event(api.EventSessionLost, p.number, cause, fmt.Sprintf("%d streams disowned", held))
	k.renewer.beatNow(p.number)
}

// noteFailure notes that a beat of the partition failed, and returns how long to wait before the next.
func (k *sessions) noteFailure(p *partition, err error) time.Duration {
	excused := k.ttls.excused(p)
	p.mu.Lock()
	told, kind := &p.mu.toldUnreachable, api.EventRedisUnreachable
	if _, refused := lease.Refusal(err); refused {
		told, kind = &p.mu.toldRefused, api.EventRedisRefuses
	}
	first := !*told
	*told = true
	p.mu.failing = err
	p.mu.failed++
	failed := p.mu.failed
	if !excused {
		p.mu.counted++
	}
	p.mu.Unlock()
	k.topology.failed(err)
	if first {
		k.event(kind, p.number, lease.Explain(err), "")
	} else {
		k.log.Warn("beat failed", 1, "partition", p.number, "err", lease.Explain(err))
	}
	return min(k.backoff(failed), k.ttls.pace(p))
}

// noteSuccess notes that a beat of the partition succeeded.
func (k *sessions) noteSuccess(p *partition) {
	p.mu.Lock()
	was := p.mu.failing
	p.mu.failing, p.mu.failed, p.mu.counted = nil, 0, 0
	p.mu.toldUnreachable, p.mu.toldRefused = false, false
	p.mu.Unlock()
	k.topology.worked()
	k.answered(p.number)
	if was != nil {
		k.event(api.EventRedisReachable, p.number, nil, "")
	}
}

// Reopen implements completion.Sessions.
func (k *sessions) Reopen(partition int) {
	k.partitions[partition].requestReopen()
	k.renewer.beatNow(partition)
}

// Delivering implements completion.Sessions.
func (k *sessions) Delivering(partition int, consumer string, now int64) bool {
	return k.partitions[partition].delivering(consumer, now)
}

// Leave implements completion.Sessions.
func (k *sessions) Leave(ctx context.Context, s *lease.Session) {
	if k.partitions[s.Partition()].leave(s) {
		k.renewer.waitIdle(ctx, s.Partition())
	}
}

// Alive implements completion.Sessions.
func (k *sessions) Alive(partition int, consumer string) bool {
	s, _ := k.partitions[partition].view()
	return s != nil && s.Consumer() == consumer && s.Remaining() > 0
}
