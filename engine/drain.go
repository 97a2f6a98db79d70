package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// requeueTime is how long requeuing may take once handlers have returned or the drain timeout has passed.
const requeueTime = 5 * time.Second

// errReleasedLate is the cause of the contexts of leases that are handed back since their handlers did not return in time.
var errReleasedLate = fmt.Errorf("%w: %w", api.ErrDrainTimeout, api.ErrReleasing)

// drain is the one place that knows the order of a shutdown. Leases are renewed until the last step but one.
func (e *Engine) drain(to delivery, readers *sync.WaitGroup) error {
	e.event(api.EventDrainStarted, api.NoPartition, nil, fmt.Sprintf("%d streams held", e.table.Len()))
	e.life.beginDrain() // for when ctx has ended: no session is opened from now on
	patience, cancel := context.WithTimeout(e.life.hurry, e.cfg.drainTimeout)
	defer cancel()

	// 1. Reading has been stopped. No acquisition may still be under way for an entry when it is requeued: the stream could be
	// ours in this process and free on the server. Parked entries are requeued at once, since other processes may be free to
	// take them.
	e.recoverer.work.Stop()
	e.parked.work.Stop()
	readers.Wait()
	e.requeueParked()

	// 2. The owner of every stream that is held gets Releasing, while the lease is still valid.
	for _, l := range e.table.All() {
		e.ownership.release(l)
	}

	// 3. Handlers return and leases are completed, until the drain timeout.
	drained := e.room.Wait(patience, func() bool { return e.table.Len() == 0 })
	handlers := errors.Join(e.dispatcher.Wait(patience), e.hints.stop(patience))

	// 4. Streams that are still held are handed back without their owners, and the context of handlers that still run ends.
	e.stopHandling(api.ErrDrainTimeout)
	for _, l := range e.table.All() {
		l.HandBackFor(errReleasedLate)
	}

	// 5. Everything that is pending is requeued, in batches; then the sessions are closed.
	last, cancelLast := context.WithTimeout(e.life.hurry, requeueTime)
	defer cancelLast()
	requeued := e.requeueAll(last)

	// 6. Only then does renewal stop.
	var err error
	switch {
	case !requeued:
		err = errors.Join(fmt.Errorf("%w: not everything was handed back", api.ErrDrainTimeout), e.lastFailure())
	case !drained || handlers != nil:
		err = fmt.Errorf("%w: handlers did not end", api.ErrDrainTimeout)
	}
	err = errors.Join(err, e.completer.ErrNotHandedBack())
	e.dismantle(to, err)
	return err
}

// requeueParked requeues the entries that wait for their streams.
func (e *Engine) requeueParked() {
	for _, x := range e.parked.list.Clear() {
		s, _ := e.partitions[x.Partition].view()
		if s != nil {
			e.completer.Requeue(s.Consumer(), x, completion.Target{})
		}
	}
}

// requeueAll waits until completions are settled, requeues what is still pending for any session, lost ones included, and closes
// the sessions. It returns false if ctx ends first. Completions that Redis refuses hold up nothing else.
func (e *Engine) requeueAll(ctx context.Context) bool {
	if !e.completer.Wait(ctx, func() bool { return e.completer.Fresh() == 0 }) ||
		!e.room.Wait(ctx, func() bool { return e.table.Len() <= e.completer.Len() }) {
		return false
	}
	by := e.clock.Now() + 2*int64(unblockTime)
	e.completer.RetireBy(by)
	for _, p := range e.partitions {
		if s, _ := p.view(); s != nil {
			e.completer.Retire(s, by)
		}
	}
	return e.completer.Wait(ctx, func() bool { return e.completer.Retiring() == 0 && e.completer.Len() == 0 })
}

// dismantle stops all parts, in this order. Owners of streams that are still held lose them with the cause ErrClosed.
func (e *Engine) dismantle(to delivery, why error) {
	// 1. Whatever could take a stream. After a drain most of it has stopped already.
	e.parked.work.Stop()
	e.promoter.stop()
	e.recoverer.work.Stop()

	// 2. Handlers and their leases, then completions, then renewal.
	e.stopHandling(api.ErrClosed)
	for _, l := range e.table.All() {
		e.ownership.disownOne(l, metrics.CauseClosed, fmt.Errorf("%w: %w", api.ErrClosed, api.ErrLeaseLost))
	}
	e.completer.Stop()
	e.renewer.work.Stop()
	for _, p := range e.partitions {
		if s, _ := p.view(); s != nil {
			p.leave(s)
		}
	}

	// 3. What is left to deliver, with Terminated as the last.
	ctx, cancel := context.WithTimeout(e.life.hurry, time.Second)
	defer cancel()
	_ = e.dispatcher.Wait(ctx)
	_ = e.hints.stop(ctx)
	e.finish(to, why)
	_ = e.dispatcher.Stop(ctx)

	// 4. Nobody believes in a lease of this run any more, which is what the next one concludes from the lock.
	e.predecessors.release()
}

// lastWord is how long the handler of Terminated may take once the engine has to stop at once.
const lastWord = 100 * time.Millisecond

// finish delivers Terminated.
func (e *Engine) finish(to delivery, why error) {
	ctx, cancel := context.WithTimeout(e.base, requeueTime)
	defer cancel()
	defer context.AfterFunc(e.life.hurry, func() {
		backoff.Sleep(ctx, lastWord)
		cancel()
	})()
	began := time.Now()
	err := to.finish(ctx, why)
	e.metrics.Handled(api.Notification{Kind: api.Terminated}, err, time.Since(began))
	var panicked *api.PanicError
	switch {
	case errors.As(err, &panicked):
		e.log.Error("handler panicked", "kind", api.Terminated, "panic", panicked.Value, "stack", string(panicked.Stack))
	case err != nil:
		e.log.Warn("handler returned an error that has no effect", 1, "kind", api.Terminated, "err", err)
	}
}
