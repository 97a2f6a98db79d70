package engine

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Stats is a snapshot of an engine.
type Stats struct {
	Held        int               // streams owned, including those whose completion is on its way to Redis
	Unconfirmed int               // of these, those that no renewal has confirmed since the server of their partition changed
	MaxStreams  int               // the limit, as WithMaxStreams has it: 0 is none, NoStreams no stream at all
	Full        bool              // as many streams are held as may be
	Roomless    int               // partitions that are not read, since there is no room for a stream
	Parked      int               // announcements that wait for a stream that is owned
	Ending      int               // completions on their way to Redis
	Queued      int               // notifications that wait for a worker
	Busy        int               // running handlers
	Dead        int               // sessions past their deadline, over all partitions, as the last beats reported
	Due         int               // delayed announcements that are due, likewise
	Oldest      time.Duration     // how long the oldest lease has been held; 0: none is held
	Partitions  int               // of the service
	Live        int               // partitions in which this process has a live session
	Settling    int               // partitions that are settling: no free stream is taken there
	Late        time.Duration     // how late the most overdue renewal is; 0: none is overdue
	Intake      Intake            // whether more streams are taken, and if not, why
	Balance     scan.BalanceState // whether this process shares the service's streams, and if not, why; empty while Redis has not answered yet
	Weight      float64           // how much it is to hold, compared with the others
	Fair        float64           // streams that are its share, as far as is known; 0: it does not share
}

// Stats returns a snapshot, without a round trip. Before the start and after the end all fields but Partitions are zero.
func (e *Engine) Stats() Stats {
	s := Stats{Partitions: len(e.partitions)}
	if !e.life.isRunning() {
		return s
	}
	s.Held, s.Ending = e.table.Len(), e.completer.Len()
	for _, n := range e.table.Unconfirmed(nil) {
		s.Unconfirmed += n
	}
	if limit, limited := e.quota.Limit(); limited {
		s.MaxStreams, s.Full = cmp.Or(limit, NoStreams), e.quota.Full()
	}
	s.Parked, _ = e.parked.list.Size()
	s.Queued, s.Busy = e.dispatcher.Queued(), e.dispatcher.Running()
	if l := e.table.Oldest(); l != nil {
		s.Oldest = time.Duration(e.clock.Now() - l.Since())
	}
	s.Intake, s.Late = e.pressure.worst()
	s.Intake = e.pressure.state(s.Intake, e.pressure.anyClogged())
	role, weight, fair := e.balancer.stats()
	s.Balance, s.Weight, s.Fair = scan.BalanceState(role), weight, fair
	for _, p := range e.partitions {
		s.Dead += int(p.dead.Load())
		s.Due += int(p.due.Load())
		if p.roomlessSince.Load() != 0 {
			s.Roomless++
		}
		p.mu.Lock()
		if p.mu.session != nil && p.mu.session.Remaining() > 0 {
			s.Live++
		}
		if p.mu.settling {
			s.Settling++
		}
		p.mu.Unlock()
	}
	return s
}

// collectGauges is the metrics.Source of an engine.
func (e *Engine) collectGauges(emit metrics.Emit) {
	if !e.life.isRunning() {
		return
	}
	held, unconfirmed, parked := e.table.Counts(nil), e.table.Unconfirmed(nil), e.parked.list.Counts()
	for n, p := range e.partitions {
		p.mu.Lock()
		settling := 0.0
		if p.mu.settling {
			settling = 1
		}
		p.mu.Unlock()
		emit(metrics.Held, n, float64(held[n]))
		emit(metrics.Unconfirmed, n, float64(unconfirmed[n]))
		emit(metrics.Parked, n, float64(parked[n]))
		emit(metrics.Settling, n, settling)
		emit(metrics.PeersDead, n, float64(p.dead.Load()))
		emit(metrics.LaterDue, n, float64(p.due.Load()))
		strain := e.pressure.of(n)
		emit(metrics.RenewalsLate, n, strain.late.Seconds())
		emit(metrics.Intake, n, float64(e.pressure.state(strain.intake, e.pressure.isClogged(n, e.clock.Now()))))
		roomless := e.roomless(p)
		emit(metrics.RoomWait, n, roomless.Seconds())
		e.checkpoints.emit(n, emit)
		e.backlogs.emit(n, roomless >= e.cfg.beat, emit)
	}
	if limit, limited := e.quota.Limit(); limited {
		emit(metrics.MaxStreams, api.NoPartition, float64(limit))
	}
	full := 0.0
	if e.quota.Full() {
		full = 1
	}
	emit(metrics.Full, api.NoPartition, full)
	emit(metrics.QueueDepth, api.NoPartition, float64(e.dispatcher.Queued()))
	emit(metrics.BusyWorkers, api.NoPartition, float64(e.dispatcher.Running()))
	emit(metrics.BreakersOpen, api.NoPartition, float64(e.breakers.open()))
	e.balancer.emit(emit)
	e.maintenance.emit(emit)
	if l := e.table.Oldest(); l != nil {
		emit(metrics.OldestHeld, api.NoPartition, time.Duration(e.clock.Now()-l.Since()).Seconds())
	}
}

// roomless returns for how long the reader of a partition has had no room for a stream.
func (e *Engine) roomless(p *partition) time.Duration {
	since := p.roomlessSince.Load()
	if since == 0 {
		return 0
	}
	return time.Duration(e.clock.Now() - since)
}

// Leases yields the leases that are held. It works on a snapshot: some may have ended by the time they are yielded.
func (e *Engine) Leases() iter.Seq[api.Lease] {
	return func(yield func(api.Lease) bool) {
		for _, l := range e.table.All() {
			if l.Remaining() > 0 && !yield(l) {
				return
			}
		}
	}
}

// Lease returns the lease of a stream, if this process owns it.
func (e *Engine) Lease(stream string) (api.Lease, bool) {
	l := e.table.Get(stream)
	if l == nil || l.Remaining() == 0 {
		return nil, false
	}
	return l, true
}

// DoneStream is Lease.Done by the name of the stream, for those who come from a library that has it. It returns api.ErrNotHeld if
// this process does not own the stream, whoever else does. Prefer Lease.Done: it cannot end a later ownership than the one that was
// meant.
func (e *Engine) DoneStream(ctx context.Context, stream string) error {
	l := e.table.Get(stream)
	if l == nil {
		return fmt.Errorf("%w: stream %q", api.ErrNotHeld, stream)
	}
	return l.Done(ctx)
}

// SetMaxStreams limits how many streams this process owns. Values are those of [WithMaxStreams]: 0 is no limit, NoStreams or less
// is none at all. If it owns more, those taken last are handed back, after their owners got Releasing.
func (e *Engine) SetMaxStreams(n int) {
	n = streamLimit(n)
	e.quota.SetLimit(n)
	if n >= e.table.Len() || !e.life.isRunning() {
		return
	}
	for _, l := range e.table.Youngest(e.table.Len() - n) {
		if e.ownership.release(l, api.ErrRebalanced) {
			e.metrics.Inc(metrics.Rebalanced.With(metrics.MoveLimit))
		}
	}
}

// unreadyAfter is how many beats of a partition must fail in a row before the engine is not ready.
const unreadyAfter = 2

// Ready is a readiness probe. It makes no round trip: beats make one every second. Its errors match api.ErrNotReady and say what
// is wrong: the engine is not running, a partition has no live session, beats or reads fail, renewals have been so late for a
// session TTL that no stream is taken ([IntakeStopped]), or servers refuse to announce maintenance although notice.On requires
// it. What fails in an outage that was announced counts for nothing, as long as the sessions last, which were lengthened for it.
// Streams that are held stay held: under Kubernetes, a process that is not ready is taken out of services and holds up a
// rollout, and is not stopped. A process that takes fewer streams, or is full, is ready.
//
// While the service is no longer the one that the engine was configured for, the error also matches api.ErrPartitionMismatch,
// api.ErrFormat or api.ErrServiceStopped: see there. While a living consumer of another library has entries pending, it also
// matches api.ErrForeignConsumers.
func (e *Engine) Ready(context.Context) error {
	if !e.life.isRunning() {
		if why := e.connector.failure(); why != nil {
			return fmt.Errorf("%w: %w", api.ErrNotReady, why)
		}
		return fmt.Errorf("%w: the engine is not running", api.ErrNotReady)
	}
	if err := e.agreement.disagrees(); err != nil {
		return fmt.Errorf("%w: %w", api.ErrNotReady, err)
	}
	for _, p := range e.partitions {
		p.mu.Lock()
		s, failing, failed, unread := p.mu.session, p.mu.failing, p.mu.counted, p.mu.unread
		p.mu.Unlock()
		legacy := e.legacy.state(p.number)
		switch {
		case s == nil || s.Remaining() == 0:
			return fmt.Errorf("%w: no session in partition %d: %w", api.ErrNotReady, p.number, e.explain(failing))
		case failing != nil && failed >= unreadyAfter:
			return fmt.Errorf("%w: beats fail in partition %d: %w", api.ErrNotReady, p.number, e.explain(failing))
		case legacy.alive != "":
			return fmt.Errorf("%w: %w: %s in partition %d", api.ErrNotReady, api.ErrForeignConsumers, legacy.alive, p.number)
		case legacy.unchecked:
			return fmt.Errorf("%w: looking for consumers of another library fails in partition %d", api.ErrNotReady, p.number)
		case unread != nil:
			return fmt.Errorf("%w: reading fails in partition %d: %w", api.ErrNotReady, p.number, e.explain(unread))
		}
		if err := e.pressure.ready(p.number); err != nil && e.maintenance.relaxed() == 0 {
			return err
		}
	}
	return e.maintenance.ready()
}

// explain adds what to do about a failure, be it of Redis or of the client.
func (e *Engine) explain(err error) error {
	if err == nil {
		return fmt.Errorf("not opened yet")
	}
	if code, _ := lease.Refusal(err); demotion(code) && e.topology.borrows() {
		return fmt.Errorf("%w: %s: %s", lease.Explain(err), stuckMessage, stuckRemedy)
	}
	return lease.Explain(err)
}
