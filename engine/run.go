package engine

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/api"
)

// Run owns streams until ctx ends or Shutdown is called, and then drains: every stream that is held is told Releasing
// and handed back, handlers may end within the drain timeout. It returns nil after a clean drain.
//
// The handler is called on at most WithWorkers goroutines, for one stream one notification at a time and in order. Its
// context carries the values of ctx and not its end; it ends when the engine gives up waiting for handlers.
//
// It returns early, with nothing taken, when the service cannot be used as configured: api.ErrPartitionMismatch,
// api.ErrFormat, api.ErrServiceStopped, api.ErrForeignConsumers, missing rights, keys of another type. While Redis is out of reach it tries
// again until ctx ends. api.ErrStarted and api.ErrClosed: an engine starts once. api.ErrDrainTimeout: handlers did not
// end, or Redis did not take back, in time; nothing is lost, others recover it when the session has ended. api.ErrNotHandedBack:
// somebody moved or deleted announcements by hand, so that handing them back did nothing.
func (e *Engine) Run(ctx context.Context, h api.Handler) error {
	if h == nil {
		return invalid("the handler is nil")
	}
	if err := e.life.begin(); err != nil {
		return err
	}
	return e.run(ctx, func(handling context.Context) delivery { return &handled{ctx: handling, handler: h} })
}

// Start is the channel way, for those who come from a library that has it: Added, Disowned, Releasing and the others
// arrive on the channel; Terminated is the last, then the channel is closed. It returns when the engine has started to
// start: errors of the service (see Run) come with Terminated, in Err.
//
// The channel holds one notification; while nobody receives, up to WithWorkers of them wait to be sent, nothing more is
// read from Redis, and renewal goes on. After Releasing, end the lease with Release, Done or Fail; the drain timeout ends what is
// left. The engine drains when ctx ends or Shutdown is called.
func (e *Engine) Start(ctx context.Context) (<-chan api.Notification, error) {
	if err := e.life.begin(); err != nil {
		return nil, err
	}
	out := make(chan api.Notification, 1)
	go func() {
		_ = e.run(ctx, func(handling context.Context) delivery { return &channel{ctx: handling, out: out} })
	}()
	return out, nil
}

// RunEach runs f in a goroutine of its own for every stream: nil means Done, an error means Fail (Permanent and Snooze
// as ever). A panic is an error, and so is an end of the goroutine by runtime.Goexit, as t.FailNow does it: an
// *api.PanicError that matches api.ErrGoexit. The goroutines are the only thing that grows with the number of streams.
//
// f's context ends when the lease does, and, with the cause api.ErrReleasing, when the stream is to be handed back:
// then f should come to a stop and return the context's error, which hands the stream back and counts no retry. The
// lease is valid until f returns or the drain timeout ends. A return of nil is Done even then. What f returns after the
// lease was lost has no effect. Everything else is as with Run.
func (e *Engine) RunEach(ctx context.Context, f func(context.Context, api.Lease) error) error {
	if f == nil {
		return invalid("the function is nil")
	}
	if err := e.life.begin(); err != nil {
		return err
	}
	return e.run(ctx, func(handling context.Context) delivery { return newEach(handling, f) })
}

// Shutdown drains the engine and waits until it has ended: every stream that is held is told Releasing with a valid
// lease, handlers may end within the drain timeout, then everything that is pending for this process is handed back.
// Nothing is acknowledged that was not Done, and no retry is counted.
//
// ctx bounds the wait and the drain: at its end the engine stops at once, with an error that matches api.ErrDrainTimeout
// and the error of ctx. It returns how the engine ended, nil after a clean drain, also when called again, or at the same
// time. An engine that was never started is closed and nil returned.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.life.mu.Lock()
	started := e.life.mu.started
	e.life.mu.closed = true
	e.life.mu.Unlock()
	if !started {
		e.life.beginDrain()
		e.metrics.Close()
		e.closeClients()
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
