package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/lease"
)

// delivery is one of the ways in which notifications reach the user.
type delivery interface {
	// deliver delivers one notification, on a worker; done is called once, before deliver returns or later.
	deliver(n api.Notification, done func(error))
	// prompt is called, by whoever caused it, with every notification of a lease but Added, before it is posted. It returns true if it
	// delivers it, so that it is not posted. Any mutex may be held: it must be quick, and take none but its own.
	prompt(n api.Notification) (taken bool)
	// leaving is called before a lease leaves the table, perhaps with a mutex held.
	leaving(l *lease.Lease)
	// busy reports whether work for a lease of stream goes on of which the dispatcher knows nothing. It is asked with a mutex held.
	busy(stream string) bool
	// wait waits for such work, within ctx.
	wait(ctx context.Context) error
	// signalsMissed is called when signals of a partition may not have arrived. As prompt, it must be quick.
	signalsMissed(partition int)
	// changed is called when a server was replaced, or slots have moved.
	changed()
	// handsBack reports whether a stream is handed back when its Releasing notification is done.
	handsBack() bool
	// blocks reports whether a notification occupies a worker until it is done.
	blocks() bool
	// finish delivers Terminated with the reason for the end, within ctx. Nothing is delivered after it.
	finish(ctx context.Context, why error) error
}

// What a way that has to remember it keeps in Lease.Delivery: that the owner was notified with Releasing, and why.
const (
	toldDraining uint8 = 1 << (7 - iota)
	toldRebalanced
)

// toldOf is what is kept of the reason of a Releasing.
func toldOf(why error) uint8 {
	if errors.Is(why, api.ErrRebalanced) {
		return toldRebalanced
	}
	return toldDraining
}

// told returns the reason that was kept, nil if there was no Releasing.
func told(kept uint8) error {
	switch {
	case kept&toldRebalanced != 0:
		return api.ErrRebalanced
	case kept&toldDraining != 0:
		return api.ErrDraining
	}
	return nil
}

// queued is for the ways in which everything goes through the dispatcher.
type queued struct{}

func (queued) prompt(api.Notification) bool { return false }
func (queued) leaving(*lease.Lease)         {}
func (queued) busy(string) bool             { return false }
func (queued) wait(context.Context) error   { return nil }
func (queued) signalsMissed(int)            {}
func (queued) changed()                     {}

// handled is how Run delivers: it calls the handler on the worker.
type handled struct {
	queued
	ctx     context.Context // ends when the engine waits for handlers no longer
	handler api.Handler
}

func (h *handled) deliver(n api.Notification, done func(error)) {
	done(h.handler.Handle(h.contextOf(n), n))
}

// contextOf returns the context for a handler: that of the lease, so that work which is started with it ends in time. Where no lease
// is held, it is the context of all handlers: what cleans up after a loss needs one that has not ended. Leases end when that one
// does, at the latest, since they are handed back then.
func (h *handled) contextOf(n api.Notification) context.Context {
	if n.Lease == nil || n.Kind == api.Disowned {
		return h.ctx
	}
	return n.Lease.Context()
}

func (h *handled) handsBack() bool { return true }
func (h *handled) blocks() bool    { return true }

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

// channel is how Start delivers: a notification is done when the channel has taken it.
type channel struct {
	queued
	ctx context.Context
	out chan api.Notification

	mu struct {
		sync.RWMutex // held for reading while something is being sent
		closed       bool
	}
}

func (c *channel) deliver(n api.Notification, done func(error)) {
	defer done(nil)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mu.closed {
		return
	}
	select {
	case c.out <- n:
	case <-c.ctx.Done():
	}
}

// handsBack returns false: the user ends the lease when they like, or the drain timeout does. Outside of a drain nothing else does, and
// the lease is renewed like any other.
func (c *channel) handsBack() bool { return false }

func (c *channel) blocks() bool { return true }

// finish is called after c.ctx has ended, so nothing that is being sent holds it up for long.
func (c *channel) finish(ctx context.Context, why error) error {
	c.mu.Lock()
	c.mu.closed = true
	c.mu.Unlock()
	defer close(c.out)
	last := api.Notification{Kind: api.Terminated, Err: why}
	select {
	case c.out <- last:
		return nil
	default: // a slow receiver has until ctx ends
	}
	select {
	case c.out <- last:
		return nil
	case <-ctx.Done():
		return errors.New("nobody received it")
	}
}

// each is how RunEach delivers: it calls f in a goroutine of its own for each stream.
type each struct {
	queued
	ctx   context.Context
	f     func(context.Context, api.Lease) error
	group sync.WaitGroup

	mu struct {
		sync.Mutex
		running map[*lease.Lease]context.CancelCauseFunc
	}
}

func newEach(ctx context.Context, f func(context.Context, api.Lease) error) *each {
	w := &each{ctx: ctx, f: f}
	w.mu.running = make(map[*lease.Lease]context.CancelCauseFunc)
	return w
}

func (w *each) deliver(n api.Notification, done func(error)) {
	if n.Kind != api.Added {
		done(nil)
		return
	}
	l := n.Lease.(*lease.Lease)
	ctx, cancel := context.WithCancelCause(l.Context())
	w.mu.Lock()
	w.mu.running[l] = cancel
	why := told(l.Delivery)
	w.mu.Unlock()
	if why != nil {
		// prompt was called before and found no goroutine. The notification is queued behind this one.
		cancel(why)
	}
	w.group.Go(func() {
		guard.Finally(func() error { return w.f(eachContext{ctx, l}, l) }, func(err error) {
			w.mu.Lock()
			delete(w.mu.running, l)
			w.mu.Unlock()
			cause := context.Cause(ctx)
			cancel(nil)
			done(w.ended(l, guard.Error(err), cause))
		})
	})
}

// eachContext is the context of f. It also ends when f's stream is to be handed back. It embeds an ordinary context, so what is
// derived from it costs no goroutine.
type eachContext struct {
	context.Context
	lease *lease.Lease
}

// Err is exact, also right after a pause of the process: it looks at the lease, which ends the context if its time is over.
func (c eachContext) Err() error {
	_ = c.lease.Context().Err()
	return c.Context.Err()
}

// ended applies the result of f to its lease. cause is why f's context had ended when f returned, nil if it had not. An error that
// ended returns fails the lease, as a handler's error does.
//
// A nil is no Done once f could know of Releasing: a function that stops because its context ended often returns nil, and its stream
// must not be lost for that. If f had finished without looking, the work is done again, which is the safe side. A lease that f has
// ended itself stays as it is.
func (w *each) ended(l *lease.Lease, err, cause error) error {
	released := errors.Is(cause, api.ErrReleasing)
	switch {
	case released && (err == nil || isCancel(err) || errors.Is(err, api.ErrReleasing)):
		l.HandBackFor(cause)
		return nil
	case err == nil:
		_ = l.Done(w.ctx)
	case errors.Is(err, api.ErrReleasing):
		l.HandBack() // of its own accord
		return nil
	case l.Remaining() == 0 && (isCancel(err) || errors.Is(err, api.ErrLeaseLost)):
		return nil // f has seen that its lease ended
	}
	return err
}

// prompt ends f's context when its stream is to be handed back; the lease stays valid.
func (w *each) prompt(n api.Notification) bool {
	if n.Kind != api.Releasing {
		return n.Kind == api.Signaled // which would wait for f, and f hears of nothing
	}
	l := n.Lease.(*lease.Lease)
	w.mu.Lock()
	l.Delivery |= toldOf(n.Err)
	cancel := w.mu.running[l]
	w.mu.Unlock()
	if cancel != nil {
		cancel(n.Err)
	}
	return false
}

func (w *each) handsBack() bool { return true }

func (w *each) blocks() bool { return false }

func (w *each) finish(context.Context, error) error { return nil }
