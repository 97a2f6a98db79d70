package engine

import (
	"cmp"
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
	lane       func(partition int) int               // partitions with the same lane share a master
	unanswered func(err error)                       // called when a large wave failed
	onLook     func(now int64, late []time.Duration) // called at each look with how late the renewals of each partition are
	revalidate func(now int64) (next int64)          // makes due what notices ask for, and returns when there is more to do
	save       saver
}

// saver is what stores checkpoints. None of its methods blocks.
type saver interface {
	look(now int64) (next int64) // has stored what is due, and returns when there is more to do

	// ride and verifying take checkpoints along with a call that goes out anyway, and rode gives them back.
	ride(p *partition, s *lease.Session, epoch uint64, room int) lease.Savings
	verifying(p *partition, s *lease.Session, leases []*lease.Lease) lease.Savings
	rode(p *partition, epoch uint64, saves lease.Savings, verdicts string, err error)
}

// renewer renews leases and sessions. One loop decides when: it looks at the wheel and the sessions and never does I/O. A work queue
// sends what the loop has queued. Only the loop watches deadlines, so leases end in time however long an answer takes.
type renewer struct {
	*env
	renewerParts
	work   *workqueue.Queue
	kick   chan struct{}
	flight *inFlight
	waves  []waveState     // by partition; each is used only by the work of its partition
	late   []time.Duration // by partition; used only by the loop

	mu struct {
		sync.Mutex
		queues      [][]*lease.Lease // due, by partition
		nextBeat    []int64          // when to beat, or open, each partition next
		queuedSince []int64          // when the first lease in each queue was due; 0: the queue is empty
		sentSince   []int64          // when the first lease was due of what was sent and is not renewed yet, by partition; 0: nothing was
	}
}

func newRenewer(ctx context.Context, e *env, parts renewerParts) *renewer {
	r := &renewer{env: e, renewerParts: parts, kick: make(chan struct{}, 1)}
	n := len(r.partitions)
	r.mu.queues = make([][]*lease.Lease, n)
	r.mu.nextBeat = make([]int64, n)
	r.mu.queuedSince = make([]int64, n)
	r.mu.sentSince = make([]int64, n)
	for p := range r.mu.nextBeat {
		r.mu.nextBeat[p] = math.MaxInt64 // until start has checked the service and asks for a session
	}
	r.late = make([]time.Duration, n)
	r.waves = make([]waveState, n)
	for p := range r.waves {
		r.waves[p].maxWeight = waveWeight
	}
	r.work = workqueue.New(ctx, n, r.cfg.pipeline.MaxInFlight, r.lane, r.flush)
	r.flight = newInFlight(n, r.work.Add)
	return r
}

// loop looks whenever something is due, until ctx ends. An idle process wakes for its beats and for nothing else.
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

// beatNow makes the loop beat, or open, a partition at its next look.
func (r *renewer) beatNow(partition int) {
	r.mu.Lock()
	r.mu.nextBeat[partition] = 0
	r.mu.Unlock()
	r.nudge()
}

// look queues what is due, ends what is past its deadline, and returns how long there is nothing to do.
func (r *renewer) look() time.Duration {
	now := r.clock.Now()
	tick := r.cfg.wheel.Tick
	retry := int64(r.cfg.timeout)
	var past, pastWithSession []*lease.Lease
	nextNotice := min(r.revalidate(now), r.save.look(now))

	r.mu.Lock() // held while the table is locked: what is due goes from the wheel into the queues in one step
	r.table.Due(now, r.mu.queues, func(l *lease.Lease) (int64, bool) {
		left := l.BelievedAt(now)
		if left <= tick {
			// The next tick would be too late.
			if l.Session().Until() <= now+int64(tick) {
				pastWithSession = append(pastWithSession, l)
			} else {
				past = append(past, l)
			}
			return now + int64(tick), false
		}
		return now + min(retry, int64(left-tick)), true
	})
	next := min(nextNotice, now+int64(time.Second))
	for n, p := range r.partitions {
		r.late[n] = r.lateLocked(n, now)
		if len(r.mu.queues[n]) > 0 || now >= r.mu.nextBeat[n] {
			r.mu.nextBeat[n] = now + int64(r.ttls.pace(p))
			r.work.Add(n)
		}
		next = min(next, r.mu.nextBeat[n])
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
	r.ownership.disown(pastWithSession, metrics.CauseSession, errSessionPast)
	return max(time.Duration(next-now), time.Millisecond)
}

// waitIdle waits until nothing is on its way for a partition, unless ctx ends first. A beat that reaches the server after the session
// was closed would make it again, so this comes after partition.leave and before the close.
func (r *renewer) waitIdle(ctx context.Context, partition int) { r.work.WaitIdle(ctx, partition) }

// beatAfter sets when a partition is beaten next if no renewal carries a beat before.
func (r *renewer) beatAfter(partition int, at int64) {
	r.mu.Lock()
	r.mu.nextBeat[partition] = at
	r.mu.Unlock()
	r.nudge()
}

// flush opens a session if there is none, otherwise it renews one wave of what is due for the partition, or beats. What is left gets
// another turn after the other partitions of the same master, so that no partition keeps others from beating.
func (r *renewer) flush(ctx context.Context, n int) time.Duration {
	p := r.partitions[n]
	s := r.sessions.openIfNeeded(ctx, p)
	if s == nil {
		// Leases of a session that is gone are off the table already.
		r.flight.leaveQueue(n)
		r.table.Retry(r.takeAll(n), r.clock.Now()+int64(r.cfg.timeout))
		return workqueue.Idle
	}
	sent, err := r.send(ctx, p, s, r.nextWave(n, s))
	switch {
	case err != nil:
		// The rest would fare no better now, and must not keep others waiting.
		r.flight.leaveQueue(n)
		r.waves[n].failedAt = r.clock.Now()
		r.table.Retry(r.takeAll(n), r.clock.Now()+int64(r.cfg.retry))
	case sent > 0:
		r.sessions.noteSuccess(p)
		r.beatAfter(n, sent+int64(r.ttls.pace(p)))
		if r.hasDue(n) && len(r.waves[n].deferred) == 0 {
			return 0
		}
	}
	return workqueue.Idle
}

// beat sends a beat that carries no renewals, and returns when it was sent.
func (r *renewer) beat(ctx context.Context, p *partition, s *lease.Session) (sent int64, err error) {
	_, epoch := p.view() // before the call, as in renew
	t := r.ttls.forCall(p)
	b, err := t.Beat(ctx, p.number, s.Consumer(), false)
	if code, _ := lease.Refusal(err); code == "TRYAGAIN" {
		b, err = t.Beat(ctx, p.number, s.Consumer(), true)
	}
	if err == nil {
		w := &r.waves[p.number]
		w.lastBeat, w.beaten = t.sent, time.Duration(r.clock.Now()-t.sent)
		r.sessions.onBeat(p, s, epoch, t, b)
	}
	return t.sent, err
}

// renew renews leases in batches, and extends, retries, verifies or disowns each as its verdict says. It returns when the call was
// sent: new deadlines count from then, and verdicts count only if the server was not seen to change since the epoch was read. Checkpoints
// that weigh no more than room may go along.
func (r *renewer) renew(ctx context.Context, p *partition, s *lease.Session, due []*lease.Lease, room int) (sent int64, failure error) {
	_, epoch := p.view() // before the call
	t := r.ttls.forCall(p)
	batches := cut(due, r.cfg.pipeline.MaxBatch)
	var saves []lease.Savings // those of a wave of several batches go by themselves
	if len(batches) == 1 {
		if along := r.save.ride(p, s, epoch, room); len(along.Items) > 0 {
			saves = []lease.Savings{along}
		}
	}
	answers := t.Renew(ctx, p.number, s.Consumer(), api.Token(p.floor.Load()), batches, saves, nil)

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
			if saves != nil {
				r.save.rode(p, epoch, saves[i], "", a.Err)
			}
			continue
		}
		kept = kept[:0]
		r.waves[p.number].lastBeat = t.sent
		same := r.sessions.onBeat(p, s, epoch, t, a.Beat)
		if saves != nil {
			r.save.rode(p, epoch, saves[i], a.Saved, a.SaveErr)
		}
		if a.Status == lease.SessionLost {
			// The session has been lost, and its leases with it.
			r.metrics.Renewed(extended, 0, 0, len(due)-extended)
			return t.sent, nil
		}
		for j, l := range batch {
			switch v := a.Verdict(j); {
			case !same:
				// Sent before its server was seen to have changed: the verdict says nothing about now.
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
		// Now, while they are in the processor's cache.
		r.table.Renewed(kept, t.sent, t.nextRenewal, r.metrics.Late)
		extended += len(kept)
	}
	missing, deleted := r.table.SplitUnconfirmed(missing)
	lost = append(lost, deleted...)
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

// verify restores leases that a new server has forgotten, if they are free and their entries pending: those that are missing there
// and that it has not confirmed before. It returns those that are still undecided.
func (r *renewer) verify(ctx context.Context, p *partition, s *lease.Session, missing []*lease.Lease) (again []*lease.Lease) {
	for _, batch := range cut(missing, r.cfg.pipeline.MaxMoves()) {
		_, epoch := p.view() // before the call
		t := r.ttls.forCall(p)
		held := batch[:0]
		for _, l := range batch {
			if l.Believed() > 0 {
				held = append(held, l)
			}
		}
		saves := r.save.verifying(p, s, held)
		answer, err := t.Verify(ctx, p.number, s.Consumer(), held, saves)
		r.save.rode(p, epoch, saves, answer.Saved, cmp.Or(err, answer.SaveErr))
		if _, now := p.view(); err != nil || now != epoch {
			again = append(again, held...)
			continue
		}
		verdicts := answer.Verdicts
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

// oneByOne renews the session and each lease with a call of its own, while the partition's slot migrates and its keys are on two
// servers. It returns the leases that are still undecided, and why the beat failed.
func (r *renewer) oneByOne(ctx context.Context, p *partition, s *lease.Session, leases []*lease.Lease) (again []*lease.Lease, _ error) {
	_, epoch := p.view() // before the calls
	t := r.ttls.forCall(p)
	b, err := t.Beat(ctx, p.number, s.Consumer(), true)
	if err != nil {
		return leases, err
	}
	r.waves[p.number].lastBeat = t.sent
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
			r.log.Warn("renewing one by one got no verdict", open, "partition", p.number)
		}
		r.metrics.Renewed(len(kept), len(lost), 0, 0)
		r.table.Renewed(kept, t.sent, t.nextRenewal, r.metrics.Late)
		r.ownership.disown(lost, metrics.CauseLease, errLeaseTaken)
	}
	return again, nil
}

// cut divides items evenly into as few batches of at most size as possible.
func cut[T any](items []T, size int) [][]T {
	count := (len(items) + size - 1) / size
	batches := make([][]T, 0, count)
	for left := count; left > 0; left-- {
		n := (len(items) + left - 1) / left
		batches, items = append(batches, items[:n:n]), items[n:]
	}
	return batches
}
