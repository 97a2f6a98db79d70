package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// read is the reader of one partition: it reads only while its session lives here, and only as much as there is room
// for, so backpressure ends at the input stream. What one read brought is taken in while the next is on its way, and no
// more than that.
func (e *Engine) read(ctx context.Context, p *partition) {
	failed := 0
	more := false // the last read stopped before it had seen the end
	var taking sync.WaitGroup
	defer taking.Wait()
	e.legacy.await(ctx, p.number)
	for ctx.Err() == nil {
		s := p.await(ctx)
		if s == nil {
			return
		}
		e.agreement.await(ctx, p.agreed.Load())
		if !e.breakers.allow(p.number) {
			backoff.Sleep(ctx, awaitAgain)
			continue
		}
		n := e.awaitRoom(ctx, p, s)
		e.attend(ctx, p, s)
		if _, due := e.comparisonDue(p); due {
			e.awaitIntake(p, &taking)
		}
		e.reconcile(ctx, p, s, n, &taking)
		if n == 0 {
			continue
		}
		block := min(e.cfg.block, attendEvery/2)
		scarce := e.room.Waiters() > 0
		if scarce || failed > 0 { // or to know soon that reading works again
			block = min(block, turnTime)
		}
		if more {
			block = 0
		}
		entries, held, rest, err := e.readOnce(ctx, p, s, n, block)
		more = rest
		e.awaitIntake(p, &taking)
		taking.Go(func() {
			e.intake(ctx, p, s, e.fit(p, s, entries, n))
			e.reading.Release(p.number, held)
			e.quota.Release(n)
		})
		if err == nil {
			failed = 0
			continue
		}
		if ctx.Err() != nil || s.Context().Err() != nil {
			continue
		}
		failed++
		if code, _ := lease.Refusal(err); code == "NOGROUP" {
			p.wantOpen()
			e.renewer.beatNow(p.number)
		}
		e.metrics.Inc(metrics.ReadsFailed)
		e.log.Warn("reading fails", 1, "partition", p.number, "err", lease.Explain(err))
		backoff.Sleep(ctx, e.backoff(failed))
	}
}

// awaitRoom reserves room for a read; 0 when there is something else to do first: the session has ended, or a chore is due,
// which must not wait for room.
func (e *Engine) awaitRoom(ctx context.Context, p *partition, s *lease.Session) (n int) {
	ctx, cancel := context.WithTimeout(ctx, e.untilChore(p))
	defer cancel()
	e.room.Wait(ctx, func() bool {
		if e.reading.Full(p.number) || e.completer.Clogged(p.number) {
			e.reading.StartWaiting(p.number, e.clock.Now())
			e.quota.EndTurn(p.number)
		} else {
			e.reading.StopWaiting(p.number)
			n = e.reserveInTurn(p.number, e.cfg.readBatch)
		}
		return n > 0 || s.Remaining() == 0
	})
	e.quota.EndTurn(p.number)
	return n
}

// awaitIntake waits until what was read before is taken in.
func (e *Engine) awaitIntake(p *partition, taking *sync.WaitGroup) {
	e.reading.StartWaiting(p.number, e.clock.Now())
	taking.Wait()
	e.reading.StopWaiting(p.number)
}

// turnTime is how long a read waits for entries while another partition waits for room, and after a failure.
const turnTime = 250 * time.Millisecond

// fit gives back what there is no room for any more: fewer streams are wanted than when the read was sent with room for
// n of them.
func (e *Engine) fit(p *partition, s *lease.Session, read []lease.Entry, n int) []lease.Entry {
	left := e.quota.Left(n)
	if len(read) <= left {
		return read
	}
	for i := left; i < len(read); i++ {
		x, _ := lease.Parse(e.layout, &read[i])
		if e.has(p.number, x.Stream, x.ID) {
			continue
		}
		e.completer.Requeue(s.Consumer(), &x, completion.Target{})
	}
	return read[:left]
}

// unblockTime is how long a read that was given up may go on to deliver: the client unblocks it, or closes its
// connection, at once. What a server that hangs delivers later is for others to recover.
const unblockTime = 200 * time.Millisecond

// readOnce waits for entries for as long as it may: a read that outlives its session could be fed for a consumer whose
// host is gone. It waits for one, since the servers know no bound in bytes for a read that waits, and reads the others
// by a script that has one. With block 0 it waits for none. Held is to be released; more says that it stopped before the end.
func (e *Engine) readOnce(ctx context.Context, p *partition, s *lease.Session, n int, block time.Duration) (
	entries []lease.Entry, held int, more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.Context(), cancel)()
	p.beginRead(s.Consumer())
	if s.Remaining() == 0 {
		// Looked at after beginRead: who closes the session either finds it running, or has ended it before.
		p.endRead("", false, 0)
		return nil, 0, false, nil
	}
	timeout := e.ttls.timeout()
	if block > 0 {
		entries, err = e.store.Read(ctx, p.number, s.Consumer(), 1, block)
		e.breakers.asked(p.number, err)
		if code, _ := lease.Refusal(err); code == "UNBLOCKED" {
			// The stream went to another master, or its master was demoted: the next read finds out.
			entries, err = nil, nil
		}
		held = e.reading.Hold(p.number, entries)
	}
	if block == 0 || len(entries) > 0 && len(entries) < n && s.Remaining() > 0 && ctx.Err() == nil {
		var others []lease.Entry
		var bytes int
		others, bytes, more, err = e.readOn(ctx, p, s, n-len(entries))
		entries, held = append(entries, others...), held+bytes
	}
	last := ""
	if len(entries) > 0 {
		last = entries[len(entries)-1].ID
	}
	delivering := e.cfg.block + timeout
	if ctx.Err() != nil {
		delivering = unblockTime
	}
	_, refused := lease.Refusal(err)
	p.endRead(last, err != nil && !refused, e.clock.Now()+int64(delivering))
	p.mu.Lock()
	p.mu.unread = err
	p.mu.Unlock()
	return entries, held, more, err
}

// readOn reads what there is, as far as there is memory for it. It waits for the answer for as long as a read that blocks does:
// what is given up on must be looked for among all that is pending. The end of ctx leaves it a moment to be answered: nobody
// unblocks a script, and what it was given would be pending unseen.
func (e *Engine) readOn(ctx context.Context, p *partition, s *lease.Session, n int) (
	entries []lease.Entry, held int, more bool, err error) {
	bytes := e.reading.Reserve(p.number, lease.MaxCallWeight)
	defer e.reading.Release(p.number, bytes)
	if bytes == 0 {
		return nil, 0, true, nil
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(unblockTime, cancel) })()
	entries, more, err = e.store.ReadOn(asking, p.number, s.Consumer(), n, bytes, e.cfg.block)
	e.breakers.asked(p.number, err)
	return entries, e.reading.Hold(p.number, entries), more, err
}

// reserve takes room for at most n more streams, and none while handlers are far behind. What it took counts as held
// until it is released.
func (e *Engine) reserve(n int) int {
	if e.dispatcher.Waiting() >= 2*e.cfg.readBatch {
		return 0
	}
	return e.quota.Reserve(n)
}

// reserveInTurn is reserve for the reader of a partition: while others wait for room, whoever had none for longest comes
// first. One that gets none counts as waiting until it ends its turn.
func (e *Engine) reserveInTurn(partition, n int) int {
	if e.dispatcher.Waiting() >= 2*e.cfg.readBatch {
		return 0
	}
	if n = e.pressure.allow(partition, n); n == 0 {
		e.quota.EndTurn(partition) // others need not wait for it
		return 0
	}
	if n = e.quota.ReserveInTurn(partition, n); n > 0 {
		e.pressure.reads(partition)
	}
	return n
}

// promote moves what is due in later back to the input stream.
func (e *Engine) promote(ctx context.Context, partition int) time.Duration {
	_, due, err := e.store.Promote(ctx, partition, e.cfg.pipeline.MaxMoves())
	if err != nil && ctx.Err() == nil {
		e.log.Warn("promoting fails", 1, "partition", partition, "err", lease.Explain(err))
	}
	aside := errors.Is(err, lease.ErrSetAside)
	if aside {
		e.metrics.Refused(lease.Blames(err))
	}
	switch {
	case err != nil && !aside:
		return workqueue.Idle // the next beat tells again
	case due > 0:
		return 0
	}
	e.partitions[partition].due.Store(0)
	return workqueue.Idle
}
