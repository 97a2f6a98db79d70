package engine

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// renewerParts are what a renewer works with. All are set before it runs.
type renewerParts struct {
	partitions []*partition
	table      *lease.Table
	ttls       *ttls
	sessions   *sessions
	ownership  *ownership
	lane       func(partition int) int               // which partitions share a master
	unanswered func(err error)                       // a call failed
	onLook     func(now int64, late []time.Duration) // how late the renewals of each partition are, at each look
	revalidate func(now int64) (next int64)          // has due what notices ask for; when there is more to do
}

// renewer decides when what is renewed: one loop that looks at the wheel and the sessions and never does I/O, and a work queue
// that sends what the loop has queued. Deadlines are watched by the loop alone, so they pass in time however long an
// answer takes.
type renewer struct {
	*env
	renewerParts
	work   *workqueue.Queue
	kick   chan struct{}
	flight *inFlight
	paces  []pace          // by partition; of whoever works for it
	late   []time.Duration // by partition; of the loop

	mu struct {
		sync.Mutex
		queues [][]*lease.Lease // due, by partition
		next   []int64          // when each partition is to be beaten, or opened, next
		since  []int64          // when the first in each queue was due; 0: it is empty
		sent   []int64          // when the first was due of what was sent and is not renewed yet, by partition; 0: nothing
	}
}

func newRenewer(ctx context.Context, e *env, parts renewerParts) *renewer {
	r := &renewer{env: e, renewerParts: parts, kick: make(chan struct{}, 1)}
	n := len(r.partitions)
	r.mu.queues = make([][]*lease.Lease, n)
	r.mu.next = make([]int64, n)
	r.mu.since = make([]int64, n)
	r.mu.sent = make([]int64, n)
	for p := range r.mu.next {
		r.mu.next[p] = math.MaxInt64 // until the start has checked the service and asks for a session
	}
	r.late = make([]time.Duration, n)
	r.paces = make([]pace, n)
	for p := range r.paces {
		r.paces[p].most = waveWeight
	}
	r.work = workqueue.New(ctx, n, r.cfg.pipeline.MaxInFlight, r.lane, r.flush)
	r.flight = newInFlight(n, r.work.Add)
	return r
}

// loop runs until ctx ends. An idle process wakes for its beats and for nothing else.
func (r *renewer) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.kick:
		}
		timer.Reset(r.look())
	}
}

// nudge makes the loop look now.
func (r *renewer) nudge() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// beatNow has a partition beaten, or opened, at the next look.
func (r *renewer) beatNow(partition int) {
	r.mu.Lock()
	r.mu.next[partition] = 0
	r.mu.Unlock()
	r.nudge()
}

// look hands out what is due and ends what is past, and returns how long there is nothing to do.
func (r *renewer) look() time.Duration {
	now := r.clock.Now()
	tick := r.cfg.wheel.Tick
	retry := int64(r.cfg.timeout)
	var past []*lease.Lease
	noticed := r.revalidate(now)

	r.mu.Lock()
	r.table.Due(now, r.mu.queues, func(l *lease.Lease) (int64, bool) {
		left := l.BelievedAt(now)
		if left <= tick {
			// At the next tick it would be too late.
			past = append(past, l)
			return now + int64(tick), false
		}
		return now + min(retry, int64(left-tick)), true
	})
	next := min(noticed, now+int64(time.Second))
	for n, p := range r.partitions {
		r.late[n] = r.lateLocked(n, now)
		if len(r.mu.queues[n]) > 0 || now >= r.mu.next[n] {
			r.mu.next[n] = now + int64(r.ttls.pace(p))
			r.work.Add(n)
		}
		next = min(next, r.mu.next[n])
		if s, _ := p.view(); s != nil {
			if s.Remaining() == 0 {
				defer r.sessions.lose(p, s, errSessionPast)
			} else if until := s.Until(); until > 0 {
				next = min(next, until)
			}
		}
	}
	r.mu.Unlock()

	r.onLook(now, r.late)
	if at, ok := r.table.Next(); ok {
		next = min(next, at)
	}
	r.ownership.disown(past, metrics.CauseDeadline, errLeasePast)
	return max(time.Duration(next-now), time.Millisecond)
}

// waitIdle waits until nothing is on its way for a partition, unless ctx ends first.
func (r *renewer) waitIdle(ctx context.Context, partition int) { r.work.WaitIdle(ctx, partition) }

// beatAfter sets when the partition is beaten next if no renewal carries a beat before.
func (r *renewer) beatAfter(partition int, at int64) {
	r.mu.Lock()
	r.mu.next[partition] = at
	r.mu.Unlock()
	r.nudge()
}

// flush opens a session where there is none; else it renews one wave of what is due for the partition, or beats. What is
// left has another turn after the other partitions of the same master, so that none keeps them from beating.
func (r *renewer) flush(ctx context.Context, n int) time.Duration {
	p := r.partitions[n]
	s := r.sessions.openIfNeeded(ctx, p)
	if s == nil {
		// Leases of a session that is gone are off the table already.
		r.flight.giveUp(n)
		r.table.Retry(r.takeAll(n), r.clock.Now()+int64(r.cfg.timeout))
		return workqueue.Idle
	}
	sent, err := r.send(ctx, p, s, r.nextWave(n, s))
	switch {
	case err != nil:
		// The rest would fare no better now, and others need not wait for it.
		r.flight.giveUp(n)
		r.paces[n].failed = r.clock.Now()
		r.table.Retry(r.takeAll(n), r.clock.Now()+int64(r.cfg.retry))
	case sent > 0:
		r.sessions.noteSuccess(p)
		r.beatAfter(n, sent+int64(r.ttls.pace(p)))
		if r.waiting(n) && len(r.paces[n].held) == 0 {
			return 0
		}
	}
	return workqueue.Idle
}

func (r *renewer) beat(ctx context.Context, p *partition, s *lease.Session) (sent int64, err error) {
	_, epoch := p.view()
	t := r.ttls.forCall(p)
	b, err := t.Beat(ctx, p.number, s.Consumer(), false)
	if code, _ := lease.Refusal(err); code == "TRYAGAIN" {
		b, err = t.Beat(ctx, p.number, s.Consumer(), true)
	}
	if err == nil {
		r.paces[p.number].beaten = t.sent
		r.sessions.onBeat(p, s, epoch, t, b)
	}
	return t.sent, err
}

// renew sends leases in batches and gives each the consequence of its verdict.
func (r *renewer) renew(ctx context.Context, p *partition, s *lease.Session, due []*lease.Lease) (sent int64, failure error) {
	_, epoch := p.view()
	t := r.ttls.forCall(p)
	batches := cut(due, r.cfg.pipeline.MaxBatch)
	answers := t.Renew(ctx, p.number, s.Consumer(), api.Token(p.floor.Load()), batches, nil)

	var again, missing, lost []*lease.Lease
	kept := make([]*lease.Lease, 0, r.cfg.pipeline.MaxBatch)
	extended, migrating := 0, false
	for i, batch := range batches {
		r.metrics.Observe(metrics.RenewalBatchSize, float64(len(batch)))
		a := &answers[i]
		if a.Err != nil {
			failure = a.Err
			code, _ := lease.Refusal(a.Err)
			migrating = migrating || code == "TRYAGAIN"
			again = append(again, batch...)
			continue
		}
		kept = kept[:0]
		r.paces[p.number].beaten = t.sent
		same := r.sessions.onBeat(p, s, epoch, t, a.Beat)
		if a.Status == lease.SessionLost {
			// The session is off, and its leases with it.
			r.metrics.Renewed(extended, 0, 0, len(due)-extended)
			return t.sent, nil
		}
		for j, l := range batch {
			switch v := a.Verdict(j); {
			case !same:
				// Sent before its server was seen to have changed: it says nothing about now.
				again = append(again, l)
			case v == lease.Kept && l.Extend(t.sent, t.lease):
				kept = append(kept, l)
			case v == lease.Missing:
				missing = append(missing, l)
			default:
				lost = append(lost, l)
			}
		}
		for _, w := range a.Waiting {
			r.ownership.supersede(batch[w])
		}
		// Now, while they are in the processor's caches.
		r.table.Renewed(kept, t.sent, t.nextRenewal, r.metrics.Late)
		extended += len(kept)
	}
	r.metrics.Renewed(extended, len(lost), len(missing), len(again))
	r.ownership.disown(lost, metrics.CauseLease, errLeaseTaken)
	if migrating {
		again, failure = r.oneByOne(ctx, p, s, again)
	}
	again = append(again, r.verify(ctx, p, s, missing)...)
	r.table.Retry(again, r.clock.Now()+int64(r.cfg.retry))
	r.nudge()
	return t.sent, failure
}

// verify sets leases again that a server has forgotten; it returns those whose question is still open.
func (r *renewer) verify(ctx context.Context, p *partition, s *lease.Session, missing []*lease.Lease) (again []*lease.Lease) {
	for _, batch := range cut(missing, r.cfg.pipeline.MaxMoves()) {
		_, epoch := p.view()
		t := r.ttls.forCall(p)
		held := batch[:0]
		for _, l := range batch {
			if l.Believed() > 0 {
				held = append(held, l)
			}
		}
		verdicts, err := t.Verify(ctx, p.number, s.Consumer(), held)
		if _, now := p.view(); err != nil || now != epoch {
			again = append(again, held...)
			continue
		}
		var kept, lost, forgotten []*lease.Lease
		for i, l := range held {
			switch {
			case i < len(verdicts) && lease.Verdict(verdicts[i]) == lease.Kept && l.Extend(t.sent, t.lease):
				kept = append(kept, l)
			case i < len(verdicts) && lease.Verdict(verdicts[i]) == lease.Gone:
				forgotten = append(forgotten, l)
			default:
				lost = append(lost, l)
			}
		}
		r.metrics.Renewed(len(kept), len(lost)+len(forgotten), 0, 0)
		r.table.Renewed(kept, t.sent, t.nextRenewal, r.metrics.Late)
		r.ownership.disown(lost, metrics.CauseLease, errLeaseGone)
		r.ownership.disown(forgotten, metrics.CauseLease, errForgotten)
	}
	return again
}

// oneByOne renews while the partition's slot migrates and its keys are apart: the session and each lease by itself. It
// returns those whose question is still open, and why the session could not be beaten.
func (r *renewer) oneByOne(ctx context.Context, p *partition, s *lease.Session, leases []*lease.Lease) (again []*lease.Lease, _ error) {
	_, epoch := p.view()
	t := r.ttls.forCall(p)
	b, err := t.Beat(ctx, p.number, s.Consumer(), true)
	if err != nil {
		return leases, err
	}
	r.paces[p.number].beaten = t.sent
	if !r.sessions.onBeat(p, s, epoch, t, b) {
		return leases, nil
	}
	for _, batch := range cut(leases, r.cfg.pipeline.MaxBatch) {
		t = r.ttls.forCall(p)
		verdicts := t.Extend(ctx, s.Consumer(), batch)
		if _, now := p.view(); now != epoch {
			again = append(again, batch...)
			continue
		}
		var kept, lost []*lease.Lease
		for i, l := range batch {
			switch v := verdicts[i]; {
			case v == lease.Kept && l.Extend(t.sent, t.lease):
				kept = append(kept, l)
			case v == 0 || v == lease.Missing && b.Settling:
				again = append(again, l)
			default:
				lost = append(lost, l)
			}
		}
		if open := len(batch) - len(kept) - len(lost); open > 0 {
			r.log.Warn("renewing one by one has no answer", open, "partition", p.number)
		}
		r.metrics.Renewed(len(kept), len(lost), 0, 0)
		r.table.Renewed(kept, t.sent, t.nextRenewal, r.metrics.Late)
		r.ownership.disown(lost, metrics.CauseLease, errLeaseTaken)
	}
	return again, nil
}

// cut divides items evenly into as few batches as can be, of at most size.
func cut[T any](items []T, size int) [][]T {
	count := (len(items) + size - 1) / size
	batches := make([][]T, 0, count)
	for left := count; left > 0; left-- {
		n := (len(items) + left - 1) / left
		batches, items = append(batches, items[:n:n]), items[n:]
	}
	return batches
}
