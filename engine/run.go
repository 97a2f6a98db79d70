package engine

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// Run owns streams until ctx ends or Shutdown is called, and then drains: for every stream that is held, the handler gets
// Releasing, with api.ErrDraining as the reason, and the stream is handed back. That lasts at most the drain timeout, whatever hangs; WithDrainTimeout says how it is
// divided. Run returns nil after a clean drain.
//
// The handler is called on at most WithWorkers goroutines, for one stream with one notification at a time and in order. Its
// context carries the values of ctx but does not end with it: in Added, Releasing, Superseded and Signaled it ends with the lease
// (see api.Handler), so work that is started with it stops when the stream is lost.
//
// Run returns early, with no stream taken, if the service cannot be used as configured: api.ErrPartitionMismatch, api.ErrFormat,
// api.ErrServiceStopped, api.ErrForeignConsumers, missing access rights, keys of another type. While Redis is unreachable it
// retries until ctx ends. Its other errors:
//
//   - api.ErrStarted, api.ErrClosed: an engine can be started once.
//   - api.ErrDrainTimeout: handlers did not return, or Redis did not take streams back, in time. Nothing is lost: other processes
//     recover it once the session has ended. What hangs goes on by itself after Run has returned, and owns nothing.
//   - api.ErrNotHandedBack: somebody moved or deleted announcements by hand, so handing them back had no effect.
func (e *Engine) Run(ctx context.Context, h api.Handler) error {
	if h == nil {
		return invalid("the handler is nil")
	}
	h, err := e.cfg.wrapped(h)
	if err != nil {
		return err
	}
	if err := e.life.begin(); err != nil {
		return err
	}
	return e.run(ctx, func(handling context.Context) delivery { return &handled{ctx: handling, handler: h} })
}

// Start delivers notifications on a channel, for those who come from a library that does so: Added, Disowned, Releasing and the
// others arrive there; Terminated comes last, then the channel is closed. Start returns before the start is complete: errors of
// the service (see Run) come in the Err of Terminated.
//
// The channel's buffer holds one notification. While nobody receives, up to WithWorkers more wait to be sent, nothing more is
// read from Redis, and leases are still renewed. The engine drains when ctx ends or Shutdown is called.
//
// After Releasing, end the lease with Release, Done or Fail: nothing is handed back until then. In a drain, what is left is handed
// back when the time for handlers is over (see WithDrainTimeout), whatever the reason of its Releasing was. Outside of a drain, where
// the reason is api.ErrRebalanced, nothing times out: the lease is valid and renewed until you end it or a drain begins.
func (e *Engine) Start(ctx context.Context) (<-chan api.Notification, error) {
	if len(e.cfg.middleware) > 0 {
		return nil, invalid("WithMiddleware: Start has no handler; leave it out, and wrap what receives from the channel")
	}
	if err := e.life.begin(); err != nil {
		return nil, err
	}
	out := make(chan api.Notification, 1)
	go func() {
		_ = e.run(ctx, func(handling context.Context) delivery { return &channel{ctx: handling, out: out} })
	}()
	return out, nil
}

// RunEach runs f in a goroutine of its own for every stream. If f returns nil, the lease is Done, unless the stream is to be handed
// back (see below); if it returns an error, the lease is failed with it, as Fail does; api.Permanent and api.Snooze work as usual. A
// panic counts as an error, and so does runtime.Goexit, which t.FailNow calls: it is an *api.PanicError that matches api.ErrGoexit.
// These goroutines are the only ones whose number grows with the number of streams.
//
// f's context ends when the lease does, and also when the stream is to be handed back, with a cause that matches api.ErrReleasing and
// says why: api.ErrDraining or api.ErrRebalanced. f should then stop and return. The lease stays valid until f has returned; only in a
// drain is it handed back without f, when the time for handlers is over (see WithDrainTimeout). What f returns counts as follows:
//
//	                 context not ended  ended for the stream to be handed back         lease ended
//	nil              Done               handed back                                    no effect
//	ctx.Err()        –                  handed back                                    no effect
//	another error    Fail               Fail                                           no effect
//
// Handing back counts no retry. After Releasing a nil hands the stream back, too, since many a function that stops because its context
// ended returns nil, and the stream must not be lost for that. So if the work was finished, the next owner does it again. An f that has
// finished says so by l.Done(ctx) before it returns nil, which counts whatever has become of ctx; with a ctx that has ended it does not
// wait for the outcome.
//
// An f that does not end by itself also waits for the lease's Superseded channel and ends the lease when that is closed: its stream was
// announced again, perhaps with another Info, and the newer announcement is handed out as soon as f has returned. Done, rather than
// nil, counts if the stream is to be handed back at the same moment, too; otherwise both announcements are handed out again.
//
//	select {
//	case <-l.Superseded():
//		return l.Done(ctx)
//	case <-ctx.Done():
//		return ctx.Err()
//	case m := <-messages:
//		…
//	}
//
// Everything else is as with Run.
func (e *Engine) RunEach(ctx context.Context, f func(context.Context, api.Lease) error) error {
	if f == nil {
		return invalid("the function is nil")
	}
	f, err := e.cfg.wrappedEach(f)
	if err != nil {
		return err
	}
	if err := e.life.begin(); err != nil {
		return err
	}
	return e.run(ctx, func(handling context.Context) delivery { return newEach(handling, f) })
}

// RunLayer owns streams as Run does, and delivers to a Layer: to packages such as engine/feed, which most programs use instead. An
// engine has one. Errors are those of Run. Terminated and Expired are not delivered: what ends an engine is what RunLayer returns.
//
// It returns once Ended was called for every lease, or the drain timeout has passed. Work for which it was not called by then goes on and
// owns nothing.
func (e *Engine) RunLayer(ctx context.Context, y Layer) error {
	if y == nil {
		return invalid("the layer is nil")
	}
	way, err := newLayered(layeredConfig{
		layer:   y,
		handled: e.metrics.Handled,
		failed:  func(n api.Notification, err error) { e.failed(n, err) },
		ignored: func(n api.Notification, err error) { e.ignored(n, err) },
		idle:    func(stream string) { e.freed(stream) },
		dropped: func() { e.metrics.Inc(metrics.SignalsDropped) },
	}, e.cfg.wrapped)
	if err != nil {
		return err
	}
	if err := e.life.begin(); err != nil {
		return err
	}
	return e.run(ctx, func(context.Context) delivery { return way })
}

// Ended must be called once for each lease that Layer.Added got, when all work for it is over, whatever has become of the lease: until
// then this process acquires no other lease of the stream. If the lease is still held, it is handed back, which counts no retry, or, with
// an error, failed as by Fail; api.Permanent and api.Snooze work as usual. If it is not, Ended does nothing else. It does not wait, may
// be called from any goroutine, also within Added, and further calls do nothing, as do calls for other leases.
func (e *Engine) Ended(l api.Lease, err error) {
	of, isOwn := l.(*lease.Lease)
	way, isLayered := e.way.(*layered)
	if isOwn && isLayered {
		way.end(of, err)
	}
}

// Shutdown drains the engine and waits until it has ended: the owner of every stream that is held gets Releasing while the lease
// is still valid, handlers have their share of the drain timeout to return, then everything that is pending for this process is
// requeued. Nothing is acknowledged that was not Done, and no retry is counted.
//
// ctx bounds the wait and the drain, besides the drain timeout: when it ends, the engine stops at once, within 100 ms, with an error
// that matches api.ErrDrainTimeout and ctx's error. Shutdown returns how the engine ended, nil after a clean drain; so do further and concurrent calls. If the engine
// was never started, Shutdown closes it and returns nil.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.life.mu.Lock()
	started := e.life.mu.started
	e.life.mu.closed = true
	e.life.mu.Unlock()
	if !started {
		e.life.stopAll()
		e.metrics.Close()
		closing, cancel := context.WithTimeout(ctx, e.cfg.drainTimeout)
		defer cancel()
		within(closing, e.closeClients)
		return nil
	}
	e.life.beginDrain()
	select {
	case <-e.life.ended:
		return e.life.err
	case <-ctx.Done():
	}
	e.life.beginHurry()
	<-e.life.ended
	if e.life.err != nil {
		return fmt.Errorf("%w (%w)", e.life.err, ctx.Err())
	}
	return nil
}
