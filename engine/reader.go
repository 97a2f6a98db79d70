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

// reader reads the input streams. It has a goroutine for each partition, which runs read.
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
	completer  *completion.Completer
	intake     *intake
	reconciler *reconciler
	reopen     func(partition int) // has the group made again
}

// read is the reader of one partition: it reads only while its session lives here, and only as much as there is room
// for, so backpressure ends at the input stream. What one read brought is taken in while the next is on its way, and no
// more than that.
func (r *reader) read(ctx context.Context, p *partition) {
	failed := 0
	more := false // the last read stopped before it had seen the end
	var taking sync.WaitGroup
	defer taking.Wait()
	r.legacy.await(ctx, p.number)
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
		n := r.awaitRoom(ctx, p, s)
		r.reconciler.attend(ctx, p, s)
		if _, due := r.reconciler.comparisonDue(p); due {
			r.awaitIntake(p, &taking)
		}
		r.reconciler.reconcile(ctx, p, s, n, &taking)
		if n == 0 {
			continue
		}
		block := min(r.cfg.block, attendEvery/2)
		scarce := r.room.Waiters() > 0
		if scarce || failed > 0 { // or to know soon that reading works again
			block = min(block, contendedBlock)
		}
		if more {
			block = 0
		}
		entries, held, rest, err := r.readOnce(ctx, p, s, n, block)
		more = rest
		r.awaitIntake(p, &taking)
		taking.Go(func() {
			r.intake.accept(ctx, p, s, r.intake.requeueExcess(p, s, entries, n))
			r.memory.Release(p.number, held)
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
		r.log.Warn("reading fails", 1, "partition", p.number, "err", lease.Explain(err))
		backoff.Sleep(ctx, r.backoff(failed))
	}
}

// awaitRoom reserves room for a read; 0 when there is something else to do first: the session has ended, or a chore is due,
// which must not wait for room.
func (r *reader) awaitRoom(ctx context.Context, p *partition, s *lease.Session) (n int) {
	ctx, cancel := context.WithTimeout(ctx, r.reconciler.untilChore(p))
	defer cancel()
	r.room.Wait(ctx, func() bool {
		if r.memory.Full(p.number) || r.completer.Clogged(p.number) {
			r.memory.StartWaiting(p.number, r.clock.Now())
			r.streams.EndTurn(p.number)
		} else {
			r.memory.StopWaiting(p.number)
			n = r.pressure.reserveInTurn(p.number, r.cfg.readBatch)
		}
		return n > 0 || s.Remaining() == 0
	})
	r.streams.EndTurn(p.number)
	return n
}

// awaitIntake waits until what was read before is taken in.
func (r *reader) awaitIntake(p *partition, taking *sync.WaitGroup) {
	r.memory.StartWaiting(p.number, r.clock.Now())
	taking.Wait()
	r.memory.StopWaiting(p.number)
}

// contendedBlock is how long a read waits for entries while another partition waits for room, and after a failure.
const contendedBlock = 250 * time.Millisecond

// unblockTime is how long a read that was given up may go on to deliver: the client unblocks it, or closes its
// connection, at once. What a server that hangs delivers later is for others to recover.
const unblockTime = 200 * time.Millisecond

// readOnce waits for entries for as long as it may: a read that outlives its session could be fed for a consumer whose
// host is gone. It waits for one, since the servers know no bound in bytes for a read that waits, and reads the others
// by a script that has one. With block 0 it waits for none. Held is to be released; more says that it stopped before the end.
func (r *reader) readOnce(ctx context.Context, p *partition, s *lease.Session, n int, block time.Duration) (
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
	timeout := r.ttls.timeout()
	if block > 0 {
		entries, err = r.store.Read(ctx, p.number, s.Consumer(), 1, block)
		r.breakers.asked(p.number, err)
		if code, _ := lease.Refusal(err); code == "UNBLOCKED" {
			// The stream went to another master, or its master was demoted: the next read finds out.
			entries, err = nil, nil
		}
		held = r.memory.Hold(p.number, entries)
	}
	if block == 0 || len(entries) > 0 && len(entries) < n && s.Remaining() > 0 && ctx.Err() == nil {
		var others []lease.Entry
		var bytes int
		others, bytes, more, err = r.readOn(ctx, p, s, n-len(entries))
		entries, held = append(entries, others...), held+bytes
	}
	last := ""
	if len(entries) > 0 {
		last = entries[len(entries)-1].ID
	}
	delivering := r.cfg.block + timeout
	if ctx.Err() != nil {
		delivering = unblockTime
	}
	_, refused := lease.Refusal(err)
	p.endRead(last, err != nil && !refused, r.clock.Now()+int64(delivering))
	p.mu.Lock()
	p.mu.unread = err
	p.mu.Unlock()
	return entries, held, more, err
}

// readOn reads what there is, as far as there is memory for it. It waits for the answer for as long as a read that blocks does:
// what is given up on must be looked for among all that is pending. The end of ctx leaves it a moment to be answered: nobody
// unblocks a script, and what it was given would be pending unseen.
func (r *reader) readOn(ctx context.Context, p *partition, s *lease.Session, n int) (
	entries []lease.Entry, held int, more bool, err error) {
	bytes := r.memory.Reserve(p.number, lease.MaxCallWeight)
	defer r.memory.Release(p.number, bytes)
	if bytes == 0 {
		return nil, 0, true, nil
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(unblockTime, cancel) })()
	entries, more, err = r.store.ReadOn(asking, p.number, s.Consumer(), n, bytes, r.cfg.block)
	r.breakers.asked(p.number, err)
	return entries, r.memory.Hold(p.number, entries), more, err
}
