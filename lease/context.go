package lease

import (
	"context"

	"github.com/streamlease/streamlease/api"
)

// leaseContext is the context of one lease. It embeds an ordinary cancellable context, so that contexts derived from it
// cost no goroutine, and computes its end from the deadlines when it is asked: after a pause of the whole process the answer
// is correct at once, before any timer has run.
type leaseContext struct {
	context.Context
	lease  *Lease
	cancel context.CancelCauseFunc
}

// Context returns the context of the lease, which is made on first use. It has the values of the context that the engine runs
// with, but not its end.
func (l *Lease) Context() context.Context {
	if c := l.ctx.Load(); c != nil {
		return c
	}
	inner, cancel := context.WithCancelCause(context.WithoutCancel(l.session.ctx))
	c := &leaseContext{Context: inner, lease: l, cancel: cancel}
	if !l.ctx.CompareAndSwap(nil, c) {
		cancel(nil)
		return l.ctx.Load()
	}
	if l.ending.Load() != nil {
		// The lease ended while the context was made, so cancelContext may have found none.
		l.cancelContext()
	}
	return c
}

// Err is exact: from this call on a lease whose deadline has passed is lost.
func (c *leaseContext) Err() error {
	c.check()
	return c.Context.Err()
}

// Value performs the check too, since context.Cause gets its answer this way.
func (c *leaseContext) Value(key any) any {
	c.check()
	return c.Context.Value(key)
}

func (c *leaseContext) check() {
	if c.Context.Err() == nil && c.lease.Remaining() == 0 {
		c.lease.Lose(api.ErrLeaseLost)
		// The lease may have ended another way, on a goroutine that has not reached its own cancelContext yet.
		c.lease.cancelContext()
	}
}

func (l *Lease) cancelContext() {
	if c := l.ctx.Load(); c != nil {
		c.cancel(l.ending.Load().Cause)
	}
}
