package lease

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
)

// leaseContext is the context of one lease: the Lease itself under another method set, so that handing it out costs nothing.
// Every handler gets one, and most look at it never.
//
// It computes its end from the deadlines when it is asked: after a pause of the whole process the answer is correct at once, before
// any timer has run. What it cannot compute is a channel. Done makes one, as part of an ordinary cancellable context, and from then
// on Value passes on what that context has. So package context finds it there and makes a derived context its child; a type of
// which it knows nothing would cost a goroutine for each.
type leaseContext Lease

// cancelContext is what Done of a leaseContext makes.
type cancelContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// Context returns the context of the lease. It has the values of the context that the engine runs with, but not its end.
func (l *Lease) Context() context.Context { return (*leaseContext)(l) }

func (c *leaseContext) lease() *Lease { return (*Lease)(c) }

// Deadline returns none, since the lease is renewed.
func (c *leaseContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done returns a channel that is closed when the lease has ended. It is made on first use.
func (c *leaseContext) Done() <-chan struct{} { return c.lease().cancelable().Done() }

// Err is exact: from this call on a lease whose deadline has passed is lost.
func (c *leaseContext) Err() error {
	l := c.lease()
	for l.ending.Load() == nil {
		if l.Remaining() > 0 {
			return nil
		}
		if l.Believed() == 0 {
			l.Lose(api.ErrLeaseLost)
		}
	}
	if e := l.ending.Load(); e == nil || e.trying() {
		return nil // what may be undone cancels nothing
	}
	x := l.cancelable()
	// The lease may have ended another way, on a goroutine that has not reached its own cancelContext yet.
	l.cancelContext()
	return x.Err()
}

// Value performs the check of Err where a channel was made: a context that is derived from one that has ended is to end at once.
func (c *leaseContext) Value(key any) any {
	x := c.ctx.Load()
	if x == nil {
		return c.session.values.Value(key)
	}
	_ = c.Err()
	return x.Value(key)
}

// String is what is printed of the context: its fields change while it is.
func (c *leaseContext) String() string { return "context of the lease of " + c.lease().Stream() }

// cancelable returns the lease's cancellable context, which is made on first use.
func (l *Lease) cancelable() *cancelContext {
	if x := l.ctx.Load(); x != nil {
		return x
	}
	inner, cancel := context.WithCancelCause(l.session.values)
	if !l.ctx.CompareAndSwap(nil, &cancelContext{inner, cancel}) {
		cancel(nil)
	}
	if l.ending.Load() != nil {
		// The lease ended while the context was made, so cancelContext may have found none.
		l.cancelContext()
	}
	return l.ctx.Load()
}

// cancelContext cancels the context, if there is one and the lease has ended for good.
func (l *Lease) cancelContext() {
	if x, e := l.ctx.Load(), l.ending.Load(); x != nil && e != nil && !e.trying() {
		x.cancel(e.Cause)
	}
}
