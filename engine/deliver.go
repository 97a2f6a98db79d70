package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
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
func (h *handled) blocks() bool                                 { return true }

func (h *handled) finish(ctx context.Context, why error) error {
	result := make(chan error, 1)
	go guard.Finally(func() error {
		return h.handler.Handle(ctx, api.Notification{Kind: api.Terminated, Err: why})
	}, func(err error) { result <- guard.Error(err) })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// channel is the way of Start: a notification counts as handled when it has been received.
type channel struct {
	ctx context.Context
	out chan api.Notification

	mu     sync.RWMutex // held for reading while something is being sent
	closed bool
}

func (c *channel) deliver(n api.Notification, done func(error)) {
	defer done(nil)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	select {
	case c.out <- n:
	case <-c.ctx.Done():
	}
}

func (c *channel) releasing(*lease.Lease) {}

// handsBack is false: the user ends the lease in their own time, or the drain timeout does.
func (c *channel) handsBack() bool { return false }

func (c *channel) blocks() bool { return true }

// finish comes after c.ctx has ended, so nothing is being sent for long.
func (c *channel) finish(ctx context.Context, why error) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	defer close(c.out)
	last := api.Notification{Kind: api.Terminated, Err: why}
	select {
	case c.out <- last:
		return nil
	default: // who is slow to receive still has until ctx ends
	}
	select {
	case c.out <- last:
		return nil
	case <-ctx.Done():
		return errors.New("nobody received it")
	}
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
	if l.Releasing() {
		// releasing came before, and found nobody. The notification waits behind this one.
		cancel(api.ErrReleasing)
	}
	w.group.Go(func() {
		guard.Finally(func() error { return w.f(ctx, l) }, func(err error) {
			w.mu.Lock()
			delete(w.running, l)
			w.mu.Unlock()
			released := errors.Is(context.Cause(ctx), api.ErrReleasing)
			cancel(nil)
			done(w.ended(l, guard.Error(err), released))
		})
	})
}

// ended does what the end of f means for its lease. What it returns fails the lease, as an error of a handler does.
func (w *each) ended(l *lease.Lease, err error, released bool) error {
	switch {
	case err == nil:
		_ = l.Done(w.ctx)
	case released && isCancel(err), errors.Is(err, api.ErrReleasing):
		l.HandBack()
		return nil
	case l.Remaining() == 0 && (isCancel(err) || errors.Is(err, api.ErrLeaseLost)):
		return nil // it has seen the end of its lease
	}
	return err
}

// releasing ends f's context; the lease stays valid.
func (w *each) releasing(l *lease.Lease) {
	w.mu.Lock()
	cancel := w.running[l]
	w.mu.Unlock()
	if cancel != nil {
		cancel(api.ErrReleasing)
	}
}

func (w *each) handsBack() bool { return true }

func (w *each) blocks() bool { return false }

func (w *each) finish(context.Context, error) error { return nil }
