package engine

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// handled is the way of Run: the handler is called on the worker.
type handled struct {
	ctx     context.Context
	handler api.Handler
}

func (h *handled) deliver(n api.Notification, done func(error)) { done(h.handler.Handle(h.ctx, n)) }
func (h *handled) releasing(*lease.Lease)                       {}
func (h *handled) handsBack() bool                              { return true }

func (h *handled) finish(_ context.Context, why error) {
	_ = h.handler.Handle(h.ctx, api.Notification{Kind: api.Terminated, Err: why})
}

// channel is the way of Start: a notification counts as handled when it has been received.
type channel struct {
	ctx context.Context
	out chan api.Notification
}

func (c *channel) deliver(n api.Notification, done func(error)) {
	select {
	case c.out <- n:
	case <-c.ctx.Done():
	}
	done(nil)
}

func (c *channel) releasing(*lease.Lease) {}

// handsBack is false: the user ends the lease in their own time, or the drain timeout does.
func (c *channel) handsBack() bool { return false }

func (c *channel) finish(ctx context.Context, why error) {
	select {
	case c.out <- api.Notification{Kind: api.Terminated, Err: why}:
	case <-ctx.Done():
	}
	close(c.out)
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

// each is the way of RunEach: a goroutine a stream.
type each struct {
	ctx     context.Context
	f       func(context.Context, api.Lease) error
	mu      sync.Mutex
	running map[*lease.Lease]context.CancelCauseFunc
	group   sync.WaitGroup
}

// RunEach runs f in a goroutine of its own for every stream: nil means Done, an error means Fail (Permanent and Snooze
// as ever). The goroutines are the only thing that grows with the number of streams.
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
	var way *each
	err := e.run(ctx, func(handling context.Context) delivery {
		way = &each{ctx: handling, f: f, running: make(map[*lease.Lease]context.CancelCauseFunc)}
		return way
	})
	return err
}

func (w *each) deliver(n api.Notification, done func(error)) {
	if n.Kind != api.Added {
		done(nil)
		return
	}
	l := n.Lease.(*lease.Lease)
	ctx, cancel := context.WithCancelCause(l.Context())
	w.mu.Lock()
	w.running[l] = cancel
	w.mu.Unlock()
	w.group.Go(func() {
		defer done(nil)
		err := w.call(ctx, l)
		w.mu.Lock()
		delete(w.running, l)
		w.mu.Unlock()
		released := errors.Is(context.Cause(ctx), api.ErrReleasing)
		cancel(nil)
		switch {
		case err == nil:
			_ = l.Done(w.ctx)
		case released && isCancel(err), errors.Is(err, api.ErrReleasing):
			l.HandBack()
		default:
			l.FailFor(err)
		}
	})
}

// call runs f and makes an error of a panic.
func (w *each) call(ctx context.Context, l *lease.Lease) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &api.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return w.f(ctx, l)
}

// releasing ends f's context; the lease stays valid. It may come before the stream's goroutine has started: then the
// Releasing notification, which follows it, hands the stream back.
func (w *each) releasing(l *lease.Lease) {
	w.mu.Lock()
	cancel := w.running[l]
	w.mu.Unlock()
	if cancel != nil {
		cancel(api.ErrReleasing)
	}
}

func (w *each) handsBack() bool { return true }

func (w *each) finish(context.Context, error) {}
