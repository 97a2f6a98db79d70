package engine

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// renewer decides when what is renewed: one loop that looks at the wheel and the sessions and never does I/O, and a crew
// that sends what the loop has queued. Deadlines are watched by the loop alone, so they pass in time however long an
// answer takes.
type renewer struct {
	e      *Engine
	crew   *crew
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

// pace is how the renewals of a partition go.
type pace struct {
	beaten int64          // when the last beat that was answered was sent, whatever carried it
	answer time.Duration  // how long the last wave took
	most   int            // bytes of a wave
	failed int64          // when a wave had no answer last
	held   []*lease.Lease // a wave for which there was no room
}

func newRenewer(ctx context.Context, e *Engine) *renewer {
	r := &renewer{e: e, kick: make(chan struct{}, 1)}
	r.mu.queues = make([][]*lease.Lease, len(e.partitions))
	r.mu.next = make([]int64, len(e.partitions))
	r.mu.since = make([]int64, len(e.partitions))
	r.mu.sent = make([]int64, len(e.partitions))
	for n := range r.mu.next {
		r.mu.next[n] = math.MaxInt64 // until the start has checked the service and asks for a session
	}
	r.late = make([]time.Duration, len(e.partitions))
	r.paces = make([]pace, len(e.partitions))
	for n := range r.paces {
		r.paces[n].most = waveWeight
	}
	r.crew = newCrew(ctx, len(e.partitions), e.cfg.pipeline.MaxInFlight, e.lane, r.flush)
	r.flight = newInFlight(len(e.partitions), r.crew.wake)
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
	e := r.e
	now := e.clock.Now()
	tick := e.cfg.wheel.Tick
	retry := int64(e.cfg.timeout)
	var past []*lease.Lease
	noticed := e.maintenance.renewNoticed(now)

	r.mu.Lock()
	e.table.Due(now, r.mu.queues, func(l *lease.Lease) (int64, bool) {
		left := l.BelievedAt(now)
		if left <= tick {
			// At the next tick it would be too late.
			past = append(past, l)
			return now + int64(tick), false
		}
		return now + min(retry, int64(left-tick)), true
	})
	next := min(noticed, now+int64(time.Second))
	for n, p := range e.partitions {
		r.late[n] = r.lateLocked(n, now)
		if len(r.mu.queues[n]) > 0 || now >= r.mu.next[n] {
			r.mu.next[n] = now + int64(e.cfg.beat)
			r.crew.wake(n)
		}
		next = min(next, r.mu.next[n])
		if s, _ := p.view(); s != nil {
			if s.Remaining() == 0 {
				defer e.loseSession(p, s, errSessionPast)
			} else if until := s.Until(); until > 0 {
				next = min(next, until)
			}
		}
	}
	r.mu.Unlock()

	e.pressure.look(now, r.late)
	if at, ok := e.table.Next(); ok {
		next = min(next, at)
	}
	e.disown(past, causeDeadline, errLeasePast)
	return max(time.Duration(next-now), time.Millisecond)
}

// lateLocked is how late the renewals of a partition are: since when the first was due that has not been renewed.
func (r *renewer) lateLocked(n int, now int64) time.Duration {
	if len(r.mu.queues[n]) > 0 && r.mu.since[n] == 0 {
		r.mu.since[n] = now
	}
	late := time.Duration(0)
	for _, due := range [...]int64{r.mu.since[n], r.mu.sent[n]} {
		if due > 0 {
			late = max(late, time.Duration(now-due))
		}
	}
	return late
}

// take empties a partition's queue.
func (r *renewer) take(partition int) []*lease.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := r.mu.queues[partition]
	r.mu.queues[partition], r.mu.since[partition] = nil, 0
	return due
}

// beatAfter sets when the partition is beaten next if no renewal carries a beat before.
func (r *renewer) beatAfter(partition int, at int64) {
	r.mu.Lock()
	r.mu.next[partition] = at
	r.mu.Unlock()
	r.nudge()
}

// takeAll is take, and the wave that is held.
func (r *renewer) takeAll(n int) []*lease.Lease {
	held := r.paces[n].held
	r.paces[n].held = nil
	return append(held, r.take(n)...)
}

// waiting reports whether more is due for a partition.
func (r *renewer) waiting(partition int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.queues[partition]) > 0
}

// putBack puts what is left of a partition's queue, the first of which was due at since, before what has become due
// meanwhile.
func (r *renewer) putBack(partition int, rest []*lease.Lease, since int64) {
	if len(rest) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.queues[partition] = append(rest, r.mu.queues[partition]...)
	r.mu.since[partition] = since
}

// away notes what is sent, and that it was answered: by then a new wave is, or nothing.
func (r *renewer) away(partition int, oldest int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.sent[partition] = oldest
}

// batchesPerWave bounds what waits for one answer: with the default batch, 8,192 leases, some 15 ms of the server.
const batchesPerWave = 16

// flush opens a session where there is none; else it renews one wave of what is due for the partition, or beats. What is
// left has another turn after the other partitions of the same master, so that none keeps them from beating.
func (r *renewer) flush(ctx context.Context, n int) time.Duration {
	e, p := r.e, r.e.partitions[n]
	s := e.openIfNeeded(ctx, p)
	if s == nil {
		// Leases of a session that is gone are off the table already.
		r.flight.giveUp(n)
		e.table.Retry(r.takeAll(n), e.clock.Now()+int64(e.cfg.timeout))
		return nothingMore
	}
	sent, err := r.send(ctx, p, s, r.nextWave(n, s))
	switch {
	case err != nil:
		// The rest would fare no better now.
		r.paces[n].failed = e.clock.Now()
		e.table.Retry(r.takeAll(n), e.clock.Now()+int64(e.cfg.retry))
	case sent > 0:
		p.recovered(e)
		r.beatAfter(n, sent+int64(e.cfg.beat))
		if r.waiting(n) && len(r.paces[n].held) == 0 {
			return 0
		}
	}
	return nothingMore
}

// nextWave is what is to be renewed next.
func (r *renewer) nextWave(n int, s *lease.Session) (wave lease.Wave) {
	e, pace := r.e, &r.paces[n]
	limit := lease.WaveLimit{Leases: batchesPerWave * e.cfg.pipeline.MaxBatch, Weight: pace.most}
	queue := pace.held
	pace.held = nil
	for len(wave.Leases) == 0 {
		if len(queue) == 0 {
			if queue = r.take(n); len(queue) == 0 {
				break
			}
		}
		wave, queue = e.table.NextWave(queue, s, e.clock.Now(), int64(pace.answer), limit)
	}
	r.putBack(n, queue, wave.Next)
	if len(wave.Leases) == 0 && e.clock.Now() > pace.failed+int64(e.cfg.retry+ticksLate*e.cfg.wheel.Tick) {
		r.away(n, 0) // what failed last would be due again by now: it is lost
	}
	return wave
}

// hold keeps a wave for later, for which there is no room now.
func (r *renewer) hold(n int, wave lease.Wave) {
	r.paces[n].held = wave.Leases
	r.away(n, wave.Oldest)
}

// send renews a wave, or beats where there is none. It returns when the last call that succeeded was sent; 0 if there was no
// room on the way to the master, and the wave is in the queue again.
//
// A small wave carries the beat. A large one comes after it: what takes long to send must not delay it. If it fails, that
// says nothing of beats; the next one tells.
func (r *renewer) send(ctx context.Context, p *partition, s *lease.Session, wave lease.Wave) (sent int64, err error) {
	e, n := r.e, p.number
	small := wave.Weight <= smallWave
	if small {
		r.flight.giveUp(n)
		if len(wave.Leases) > 0 {
			sent, err = r.renewWave(ctx, p, s, wave)
		} else {
			sent, err = r.beat(ctx, p, s)
		}
	} else if e.clock.Now() >= r.paces[n].beaten+int64(e.cfg.beat/2) {
		if sent, err = r.beat(ctx, p, s); err != nil {
			r.hold(n, wave)
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			r.beatAfter(n, e.clock.Now()+int64(p.failing(e, err)))
		}
		return 0, err
	}
	if small {
		return sent, nil
	}
	lane := r.flight.enter(n, e.lane(n), wave.Weight)
	if lane == nil {
		r.hold(n, wave)
		return sent, nil
	}
	defer r.flight.leave(lane, wave.Weight)
	sent, err = r.renewWave(ctx, p, s, wave)
	if err != nil && ctx.Err() == nil {
		r.paces[n].beaten = 0
		e.follower.failed(err)
		e.log.warn("renewing fails", len(wave.Leases), "partition", n, "err", lease.Explain(err))
		r.beatNow(n)
	}
	return sent, err
}

// renewWave renews a wave, and learns from how long that takes how large the next may be: it is to have its answer within
// half of the time that there is for one.
func (r *renewer) renewWave(ctx context.Context, p *partition, s *lease.Session, wave lease.Wave) (sent int64, err error) {
	pace := &r.paces[p.number]
	r.away(p.number, wave.Oldest)
	if sent, err = r.renew(ctx, p, s, wave.Leases); err == nil {
		r.away(p.number, 0)
	}
	pace.answer = time.Duration(r.e.clock.Now() - sent)
	switch limit := r.e.timeout(); {
	case err == nil && pace.answer < limit/4 && wave.Weight > pace.most/2:
		pace.most = min(2*pace.most, waveWeight)
	case err == nil && pace.answer > limit/2, errors.Is(err, context.DeadlineExceeded):
		pace.most = max(min(pace.most, wave.Weight)/2, leastWave)
	}
	return sent, err
}

func (r *renewer) beat(ctx context.Context, p *partition, s *lease.Session) (sent int64, err error) {
	_, epoch := p.view()
	t := r.e.terms(p)
	b, err := t.Beat(ctx, p.number, s.Consumer(), false)
	if code, _ := lease.Refusal(err); code == "TRYAGAIN" {
		b, err = t.Beat(ctx, p.number, s.Consumer(), true)
	}
	if err == nil {
		r.paces[p.number].beaten = t.sent
		r.e.heard(p, s, epoch, t, b)
	}
	return t.sent, err
}

// renew sends leases in batches and gives each the consequence of its verdict.
func (r *renewer) renew(ctx context.Context, p *partition, s *lease.Session, due []*lease.Lease) (sent int64, failure error) {
	e := r.e
	_, epoch := p.view()
	t := e.terms(p)
	batches := cut(due, e.cfg.pipeline.MaxBatch)
	answers := t.Renew(ctx, p.number, s.Consumer(), api.Token(p.floor.Load()), batches, nil)

	var again, missing, lost []*lease.Lease
	kept := make([]*lease.Lease, 0, e.cfg.pipeline.MaxBatch)
	extended, migrating := 0, false
	for i, batch := range batches {
		e.metrics.batch(len(batch))
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
		same := e.heard(p, s, epoch, t, a.Beat)
		if a.Status == lease.SessionLost {
			// The session is off, and its leases with it.
			e.metrics.renewed(extended, 0, 0, len(due)-extended)
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
			e.supersede(batch[w.Index])
		}
		// Now, while they are in the processor's caches.
		e.table.Renewed(kept, t.sent, t.nextRenewal, e.metrics.late)
		extended += len(kept)
	}
	e.metrics.renewed(extended, len(lost), len(missing), len(again))
	e.disown(lost, causeLease, errLeaseTaken)
	if migrating {
		again, failure = r.oneByOne(ctx, p, s, again)
	}
	again = append(again, r.verify(ctx, p, s, missing)...)
	e.table.Retry(again, e.clock.Now()+int64(e.cfg.retry))
	r.nudge()
	return t.sent, failure
}

// verify sets leases again that a server has forgotten; it returns those whose question is still open.
func (r *renewer) verify(ctx context.Context, p *partition, s *lease.Session, missing []*lease.Lease) (again []*lease.Lease) {
	e := r.e
	for _, batch := range cut(missing, e.cfg.pipeline.MaxMoves()) {
		_, epoch := p.view()
		t := e.terms(p)
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
		var kept, lost []*lease.Lease
		for i, l := range held {
			if i < len(verdicts) && lease.Verdict(verdicts[i]) == lease.Kept && l.Extend(t.sent, t.lease) {
				kept = append(kept, l)
			} else {
				lost = append(lost, l)
			}
		}
		e.metrics.renewed(len(kept), len(lost), 0, 0)
		e.table.Renewed(kept, t.sent, t.nextRenewal, e.metrics.late)
		e.disown(lost, causeLease, errLeaseGone)
	}
	return again
}

// oneByOne renews while the partition's slot migrates and its keys are apart: the session and each lease by itself. It
// returns those whose question is still open, and why the session could not be beaten.
func (r *renewer) oneByOne(ctx context.Context, p *partition, s *lease.Session, leases []*lease.Lease) (again []*lease.Lease, _ error) {
	e := r.e
	_, epoch := p.view()
	t := e.terms(p)
	b, err := t.Beat(ctx, p.number, s.Consumer(), true)
	if err != nil {
		return leases, err
	}
	r.paces[p.number].beaten = t.sent
	if !e.heard(p, s, epoch, t, b) {
		return leases, nil
	}
	for _, batch := range cut(leases, e.cfg.pipeline.MaxBatch) {
		t = e.terms(p)
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
			e.log.warn("renewing one by one has no answer", open, "partition", p.number)
		}
		e.metrics.renewed(len(kept), len(lost), 0, 0)
		e.table.Renewed(kept, t.sent, t.nextRenewal, e.metrics.late)
		e.disown(lost, causeLease, errLeaseTaken)
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
