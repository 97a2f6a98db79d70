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

// errReleasedLate is the cause of the contexts of leases that are handed back since their handlers did not return in time.
var errReleasedLate = fmt.Errorf("%w: %w", api.ErrDrainTimeout, api.ErrDraining)

// drain is the one place that knows the order of a shutdown. Leases are renewed until the last step but one. Every wait has an end
// (see drainPlan), since whatever is waited for may hang: a handler, a server, and even a call that is to end with its context,
// when the client waits for something else. What is given up on goes on by itself. It cannot own anything any more: dismantle ends
// all leases and sessions, and what is acquired under an ended session is not believed.
func (e *Engine) drain(to delivery, readers *sync.WaitGroup) error {
	e.event(api.EventDrainStarted, api.NoPartition, nil, fmt.Sprintf("%d streams held", e.table.Len()))
	e.life.beginDrain() // for when ctx has ended: no session is opened from now on
	plan := e.drainPlan()
	led := e.lead()

	// 1. Reading has been stopped, and the others are given time to make room for what is about to come. No acquisition may still be
	// under way for an entry when it is requeued: the stream could be ours in this process and free on the server. Parked entries are
	// requeued at once, since other processes may be free to take them.
	quiet := async(e.stopTaking, readers.Wait)
	handling, cancel := context.WithDeadline(e.life.hurry, plan.handlersUntil(e.left()))
	defer cancel()
	soon, cancelSoon := context.WithTimeout(handling, e.ttls.timeout()+unblockTime)
	defer cancelSoon()
	isQuiet := await(soon, quiet)
	await(handling, led)

	// 2. The owner of every stream that is held gets Releasing, while the lease is still valid. So does, later, that of one which a
	// call has acquired that took long.
	if isQuiet {
		e.requeueParked()
	}
	e.releaseAll()
	if !isQuiet && await(handling, quiet) {
		isQuiet = true
		e.requeueParked()
		e.releaseAll()
	}

	// 3. Handlers return and leases are completed, until the time for handlers is over.
	handlers := e.awaitHandlers(plan)

	// 4. Streams that are still held are handed back without their owners, and the context of handlers that still run ends.
	e.stopHandling(api.ErrDrainTimeout)
	for _, l := range e.table.All() {
		l.HandBackFor(errReleasedLate)
	}

	// 5. Everything that is pending is requeued, in batches; then the sessions are closed.
	last, cancelLast := context.WithDeadline(e.life.hurry, plan.handBackUntil())
	defer cancelLast()
	if !isQuiet && await(last, quiet) {
		isQuiet = true
		e.requeueParked()
	}
	requeued := isQuiet && e.requeueAll(last)

	// 6. Only then does renewal stop.
	var err error
	switch {
	case !requeued:
		err = errors.Join(fmt.Errorf("%w: Redis has not confirmed that everything was handed back (entries %d, sessions to be closed %d); the rest is handed out again when its session has ended",
			api.ErrDrainTimeout, e.completer.Len(), e.completer.Retiring()), e.lastFailure())
	case handlers != nil:
		err = fmt.Errorf("%w: handlers did not end", api.ErrDrainTimeout)
	}
	err = errors.Join(err, e.completer.ErrNotHandedBack())
	e.dismantle(to, err, readers)
	return err
}

// lead has the others see that this process takes no more and gives what it holds, and returns what is closed when they have: they wait in
// reads then.
func (e *Engine) lead() <-chan struct{} {
	d := e.balancer.leave(e.cfg.drainTimeout)
	e.room.Broadcast() // for Evacuate
	return async(func() { backoff.Sleep(e.life.hurry, d) })
}

// stopTaking stops what acquires streams, besides the readers, and waits for it.
func (e *Engine) stopTaking() { <-async(e.recoverer.work.Stop, e.parked.work.Stop) }

// releaseAll notifies the owners of all streams that are held, once, that they are to be released.
func (e *Engine) releaseAll() {
	for _, l := range e.table.All() {
		if e.ownership.release(l, api.ErrDraining) {
			e.metrics.Inc(metrics.Rebalanced.With(metrics.MoveDrain))
		}
	}
}

// drainPlan is that of the shutdown that has begun.
func (e *Engine) drainPlan() drainPlan { return drainPlan{e.cfg.drainTimeout, e.life.until()} }

// left is about how many streams and entries are left to be handed back. Leases that are being completed count twice, which is
// soon over.
func (e *Engine) left() int { return e.table.Len() + e.completer.Len() }

// handlersStep is the least time by which the time for handlers is made longer.
const handlersStep = 10 * time.Millisecond

// awaitHandlers waits until no stream is held and no handler runs, but no longer than the plan allows. That is longer the fewer
// streams are left to be handed back, so it is asked again when it has passed.
func (e *Engine) awaitHandlers(plan drainPlan) error {
	for {
		until := plan.handlersUntil(e.left())
		ctx, cancel := context.WithDeadline(e.life.hurry, until)
		held := !e.room.Wait(ctx, func() bool { return e.table.Len() == 0 })
		err := errors.Join(e.dispatcher.Wait(ctx), e.hints.stop(ctx), e.way.wait(ctx))
		cancel()
		if held && err == nil {
			err = errors.New("streams are held")
		}
		if err == nil || e.life.hurry.Err() != nil || plan.handlersUntil(e.left()).Before(until.Add(handlersStep)) {
			return err
		}
	}
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

const (
	// lateReads is how long a session is kept open, once everything is requeued, for what a read with an unknown outcome may still
	// deliver to it.
	lateReads = 2 * unblockTime
	// refusedTime is how much longer a session is kept that is being closed while Redis refuses some of its completions: they count
	// only while it lives. The rest has been requeued by then.
	refusedTime = 2 * time.Second
)

// requeueAll waits until completions are settled, requeues what is still pending for any session, lost ones included, and closes
// the sessions. It returns false if ctx, which has a deadline, ends first. Completions that Redis refuses hold up nothing else.
func (e *Engine) requeueAll(ctx context.Context) bool {
	if !e.completer.Wait(ctx, func() bool { return e.completer.Fresh() == 0 }) ||
		!e.room.Wait(ctx, func() bool { return e.table.Len() <= e.completer.Len() }) {
		return false
	}
	// With little time left, sessions are closed without waiting for all that is worth waiting for: what is left to a closed
	// session is recovered at once, and what is left to one that is open only when it has ended.
	deadline, _ := ctx.Deadline()
	left := int64(time.Until(deadline))
	reads := e.clock.Now() + min(int64(lateReads), left/4)
	until := completion.Closing{Reads: reads, Refused: reads + min(int64(refusedTime), left/4)}
	e.completer.RetireBy(until)
	for _, p := range e.partitions {
		if s, _ := p.view(); s != nil {
			e.completer.Retire(s, until)
		}
	}
	return e.completer.Wait(ctx, func() bool { return e.completer.Retiring() == 0 && e.completer.Len() == 0 })
}

// dismantle stops all parts, in this order. Owners of streams that are still held lose them with the cause ErrClosed. Each step has
// a share of the time that is left.
func (e *Engine) dismantle(to delivery, why error, readers *sync.WaitGroup) {
	stopping, cancel := e.life.share(.5)
	defer cancel()

	// 1. Whatever could take a stream. After a drain most of it has stopped already.
	stopped := await(stopping, async(e.stopTaking, e.promoter.stop, e.signals.work.Stop, e.checkpoints.work.Stop, readers.Wait))

	// 2. Handlers and their leases, then completions, then renewal.
	e.stopHandling(api.ErrClosed)
	e.disownAll()
	stopped = e.completer.Stop(stopping) && stopped
	stopped = within(stopping, e.renewer.work.Stop) && stopped
	for _, p := range e.partitions {
		if s, _ := p.view(); s != nil {
			p.leave(s)
		}
	}
	e.disownAll() // what a call acquired that took too long. From here on nothing is believed: there is no session
	if !stopped {
		e.gaveUp("calls to Redis")
	}

	// 3. What is left to deliver, with Terminated as the last.
	e.awaitLast(func(ctx context.Context) {
		_ = e.dispatcher.Wait(ctx)
		_ = e.hints.stop(ctx)
	})
	e.finish(to, why)
	e.awaitLast(func(ctx context.Context) { _ = e.dispatcher.Stop(ctx) })

	// 4. Nobody believes in a lease of this run any more, which is what the next one concludes from the lock.
	e.predecessors.release()
}

// disownAll has the owners of all streams lose them, since the engine ends.
func (e *Engine) disownAll() {
	for _, l := range e.table.All() {
		e.ownership.disownOne(l, metrics.CauseClosed, fmt.Errorf("%w: %w", api.ErrClosed, api.ErrLeaseLost))
	}
}

// lastPatience is the longest that the end waits for what has been asked to stop: handlers that do not return, and the user's hooks.
const lastPatience = time.Second

// awaitLast calls wait with a context for that: half of the time that is left, up to lastPatience.
func (e *Engine) awaitLast(wait func(ctx context.Context)) {
	ctx, cancel := e.life.share(.5)
	defer cancel()
	ctx, cancelPatience := context.WithTimeout(ctx, lastPatience)
	defer cancelPatience()
	wait(ctx)
}

// gaveUp logs what hangs at the end of an engine.
func (e *Engine) gaveUp(on string) {
	e.log.Warn("shutdown: not waiting any longer", 1, "for", on, "timeout", e.cfg.drainTimeout)
}

// finish delivers Terminated.
func (e *Engine) finish(to delivery, why error) {
	ctx, cancel := context.WithTimeout(e.base, time.Duration(.75*float64(time.Until(e.life.until()))))
	defer cancel()
	defer context.AfterFunc(e.life.hurry, func() {
		backoff.Sleep(ctx, lastWord/2)
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
