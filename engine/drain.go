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

// handBackTime is how long handing back may take after handlers have ended or the drain timeout has.
const handBackTime = 5 * time.Second

// drain is the one place that knows the order of a shutdown. Renewal goes on until the last step but one.
func (e *Engine) drain(to delivery, readers *sync.WaitGroup) error {
	e.event(api.EventDrainStarted, api.NoPartition, nil, fmt.Sprintf("%d streams held", e.table.Len()))
	e.life.beginDrain() // where ctx has ended: no session is opened any more
	patience, cancel := context.WithTimeout(e.life.hurry, e.cfg.drainTimeout)
	defer cancel()

	// 1. Reading has been stopped. Nothing may be on its way to being acquired when it is handed back: it could be ours
	// in this process and free on the server. Parked entries go back at once, others may be free to take them.
	e.recoverer.work.Stop()
	e.parked.work.Stop()
	readers.Wait()
	e.returnParked()

	// 2. Every stream that is held is told, with its lease valid.
	for _, l := range e.table.All() {
		e.ownership.release(l)
	}

	// 3. Handlers end, and endings arrive, until the drain timeout.
	drained := e.room.Wait(patience, func() bool { return e.table.Len() == 0 })
	handlers := errors.Join(e.dispatcher.Wait(patience), e.hints.stop(patience))

	// 4. What is left is taken from its owners, and handlers that still run are told.
	e.stopHandling(api.ErrDrainTimeout)
	for _, l := range e.table.All() {
		l.HandBack()
	}

	// 5. All that is pending goes back, in batches; then the sessions are closed.
	last, cancelLast := context.WithTimeout(e.life.hurry, handBackTime)
	defer cancelLast()
	handed := e.handBackAll(last)

	// 6. Only then does renewal stop.
	var err error
	switch {
	case !handed:
		err = errors.Join(fmt.Errorf("%w: not everything was handed back", api.ErrDrainTimeout), e.lastFailure())
	case !drained || handlers != nil:
		err = fmt.Errorf("%w: handlers did not end", api.ErrDrainTimeout)
	}
	err = errors.Join(err, e.completer.ErrNotHandedBack())
	e.dismantle(to, err)
	return err
}

func (e *Engine) returnParked() {
	for _, x := range e.parked.list.Clear() {
		s, _ := e.partitions[x.Partition].view()
		if s != nil {
			e.completer.Requeue(s.Consumer(), x, completion.Target{})
		}
	}
}

// handBackAll waits until endings are settled, and nothing is pending for any session, those that were lost included;
// false when ctx ends first. Endings that Redis refuses hold up nothing else.
func (e *Engine) handBackAll(ctx context.Context) bool {
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

// dismantle stops all parts. What is still held by then is lost to its owners with the cause ErrClosed.
func (e *Engine) dismantle(to delivery, why error) {
	e.parked.work.Stop()
	e.promoter.work.Stop()
	e.recoverer.work.Stop()
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
	ctx, cancel := context.WithTimeout(e.life.hurry, time.Second)
	defer cancel()
	_ = e.dispatcher.Wait(ctx)
	_ = e.hints.stop(ctx)
	e.finish(to, why)
	_ = e.dispatcher.Stop(ctx)
}

// lastWord is how long the handler of Terminated may take when the engine is to end at once.
const lastWord = 100 * time.Millisecond

// finish has Terminated delivered.
func (e *Engine) finish(to delivery, why error) {
	ctx, cancel := context.WithTimeout(e.base, handBackTime)
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
