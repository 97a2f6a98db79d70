package engine

import (
	"context"
	"sync"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/lease"
)

// readStore is what a reader asks of Redis.
type readStore interface {
	Read(ctx context.Context, p int, consumer string, count int, block time.Duration) ([]lease.Entry, error)
	ReadOn(ctx context.Context, p int, consumer string, count, bytes int, patience time.Duration) (entries []lease.Entry, more bool, err error)
}

// reader reads the input streams, with one goroutine per partition, which runs read. All its fields are set before the first one
// starts.
type reader struct {
	*env
	store      readStore
	ttls       *ttls
	legacy     *legacyWatch
	agreement  *agreement
	breakers   *breakers
	room       *cond.Cond // there may be room for more
	memory     *quota.Memory
	streams    *quota.Streams
	pressure   *pressure
	balancer   *balancer
	completer  *completion.Completer
	intake     *intake
	reconciler *reconciler
	reopen     func(partition int) // has the group recreated
}

// read reads one partition until ctx ends. It reads only while this process has a live session there, and only as much as there
// is room for, so backpressure reaches as far as the input stream. What one read returned is accepted while the next is on its way;
// there are never more than these two.
func (r *reader) read(ctx context.Context, p *partition) {
	failed := 0
	more := false             // the last read stopped before it had seen the end
	phase := 1 - r.random()/2 // so that the readers of several partitions do not wait in step: they would all take what comes first
	var accepting sync.WaitGroup
	defer accepting.Wait()
	r.legacy.await(ctx, p.number)
	defer p.roomlessSince.Store(0)
	for ctx.Err() == nil {
		s := p.awaitSession(ctx)
		if s == nil {
			return
		}
		r.agreement.await(ctx, p.agreed.Load())
		if !r.breakers.allow(p.number) {
			backoff.Sleep(ctx, pollInterval)
			continue
		}
		n, leftover := r.awaitRoom(ctx, p, s)
		r.reconciler.attend(ctx, p, s)
		if _, due := r.reconciler.comparisonDue(p); due {
			r.awaitIntake(p, &accepting)
		}
		r.reconciler.reconcile(ctx, p, s, n, &accepting)
		if n == 0 {
			continue
		}
		block := time.Duration(phase * float64(r.blockTime(more || leftover, failed)))
		entries, held, rest, err := r.readOnce(ctx, p, s, n, block)
		phase = 1
		more = rest && !leftover
		r.balancer.read(p.number, len(entries), leftover)
		r.awaitIntake(p, &accepting)
		accepting.Go(func() {
			r.intake.accept(ctx, p, s, r.intake.requeueExcess(p, s, entries, n))
			r.memory.Release(p.number, held)
			r.balancer.placed(len(entries))
			r.streams.Release(n)
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
			r.reopen(p.number)
		}
		r.metrics.Inc(metrics.ReadsFailed)
		r.log.Warn("reading failed", 1, "partition", p.number, "err", lease.Explain(err))
		backoff.Sleep(ctx, r.backoff(failed))
	}
}

// contendedBlock is how long a read waits for entries while another partition waits for room, and after a failure.
const contendedBlock = 250 * time.Millisecond

// blockTime returns how long the next read may wait for entries; 0 when the last one left more. After failures, a short wait shows
// soon that reading works again.
func (r *reader) blockTime(more bool, failed int) time.Duration {
	block := min(r.cfg.block, attendEvery/2)
	switch {
	case more:
		return 0
	case failed > 0 || r.room.Waiters() > 0:
		return min(block, contendedBlock)
	}
	return block
}

// awaitRoom waits for room for a read, reserves it, and returns for how many entries, and whether only for what is there now. It
// returns 0 when something else comes first: the session has ended, or a chore is due, which must not wait for room.
func (r *reader) awaitRoom(ctx context.Context, p *partition, s *lease.Session) (n int, leftover bool) {
	ctx, cancel := context.WithTimeout(ctx, r.reconciler.untilChore(p))
	defer cancel()
	r.room.Wait(ctx, func() bool {
		if r.memory.Full(p.number) || r.completer.Clogged(p.number) {
			r.memory.StartWaiting(p.number, r.clock.Now())
			r.streams.EndTurn(p.number)
		} else {
			r.memory.StopWaiting(p.number)
			n, leftover = r.balancer.allow(p.number, r.cfg.readBatch)
			n = r.pressure.reserveInTurn(p.number, n)
		}
		r.noteRoom(p)
		if n == 0 {
			p.noteRead(nil, false) // a failure is over when nothing is to be read, however long that lasts
		}
		return n > 0 || s.Remaining() == 0
	})
	r.streams.EndTurn(p.number)
	return n, leftover
}

// noteRoom notes since when a reader waits because as many streams are held as may be. A chore in between changes nothing.
func (r *reader) noteRoom(p *partition) {
	if r.streams.Waits(p.number) {
		p.roomlessSince.CompareAndSwap(0, r.clock.Now())
	} else {
		p.roomlessSince.Store(0)
	}
}

// awaitIntake waits until what was read before has been accepted.
func (r *reader) awaitIntake(p *partition, accepting *sync.WaitGroup) {
	r.memory.StartWaiting(p.number, r.clock.Now())
	accepting.Wait()
	r.memory.StopWaiting(p.number)
}

// unblockTime is how long a canceled read may go on to deliver: the client unblocks it, or closes its connection, at once. What a
// server that hangs delivers after that is for others to recover.
const unblockTime = 200 * time.Millisecond

// readOnce reads at most n entries, waiting up to block for the first, but no longer than the session lasts: a read that outlives
// its session could deliver to a consumer whose host is gone. It waits for one entry only, since servers have no limit in bytes for
// a read that waits, and reads the others with a script that has one. With block 0 it does not wait. The caller releases held
// bytes of memory. more is set if it stopped before the end of the stream.
func (r *reader) readOnce(ctx context.Context, p *partition, s *lease.Session, n int, block time.Duration) (
	entries []lease.Entry, held int, more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.Context(), cancel)()
	p.beginRead(s.Consumer())
	if s.Remaining() == 0 {
		// Checked after beginRead: whoever closes the session either sees this read running, or has ended the session before.
		p.endRead("", false, 0)
		return nil, 0, false, nil
	}
	timeout, excused := r.ttls.timeout(), r.ttls.excused(p)
	if block > 0 {
		entries, err = r.store.Read(ctx, p.number, s.Consumer(), 1, block)
		r.breakers.asked(p.number, err)
		if code, _ := lease.Refusal(err); code == "UNBLOCKED" {
			// The stream moved to another master, or its master was demoted: the next read finds out.
			entries, err = nil, nil
		}
		held = r.memory.Hold(p.number, entries)
		r.balancer.take(len(entries))
	}
	others := n - len(entries)
	if block > 0 && others > 0 && len(entries) > 0 {
		others = r.balancer.more(others) // it may have waited for long
	}
	if block == 0 || len(entries) > 0 && others > 0 && s.Remaining() > 0 && ctx.Err() == nil {
		var rest []lease.Entry
		var bytes int
		r.balancer.take(others) // so that the reader of another partition does not take them, too
		rest, bytes, more, err = r.readOn(ctx, p, s, others)
		r.balancer.take(len(rest) - others)
		entries, held = append(entries, rest...), held+bytes
	}
	last := ""
	if len(entries) > 0 {
		last = entries[len(entries)-1].ID
	}
	mayDeliver := r.cfg.block + timeout
	if ctx.Err() != nil {
		mayDeliver = unblockTime
	}
	_, refused := lease.Refusal(err)
	p.endRead(last, err != nil && !refused, r.clock.Now()+int64(mayDeliver))
	p.noteRead(err, excused || r.ttls.excused(p))
	return entries, held, more, err
}

// readOn reads what is there without waiting for more, as far as memory allows. It waits for the answer as long as a blocking read
// does, because finding what an abandoned read delivered takes a comparison of what is pending. When ctx ends, it leaves the
// script a moment to answer: a script cannot be unblocked, and what it delivered would be pending without anybody knowing.
func (r *reader) readOn(ctx context.Context, p *partition, s *lease.Session, n int) (
	entries []lease.Entry, held int, more bool, err error) {
	bytes := r.memory.Reserve(p.number, lease.MaxCallWeight)
	defer r.memory.Release(p.number, bytes)
	if bytes == 0 {
		return nil, 0, true, nil
	}
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(unblockTime, cancel) })()
	entries, more, err = r.store.ReadOn(call, p.number, s.Consumer(), n, bytes, r.cfg.block)
	r.breakers.asked(p.number, err)
	return entries, r.memory.Hold(p.number, entries), more, err
}
