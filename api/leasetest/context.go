package leasetest

import "context"

// leaseContext is an ordinary cancel context that checks the lease before it
// answers. It embeds one, so that contexts derived from it cost no goroutine.
type leaseContext struct {
	context.Context
	lease *Lease
}

// Err is right from the very moment at which the lease ends.
func (c *leaseContext) Err() error {
	c.lease.check()
	return c.Context.Err()
}

// Value checks too, because context.Cause and the functions that derive a
// context call it, not Err.
func (c *leaseContext) Value(key any) any {
	c.lease.check()
	return c.Context.Value(key)
}

// handlerContext is the context of a handler: that of its lease, with the values
// of the one that the test gave, too.
type handlerContext struct {
	leaseContext
	values context.Context
}

func (c *handlerContext) Value(key any) any {
	if v := c.leaseContext.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// handling returns the context of a handler that the test calls with ctx. It
// ends with ctx, too, until returned is called: work that the handler has
// started ends with the lease only.
func (l *Lease) handling(ctx context.Context) (_ context.Context, returned func()) {
	inner, cancel := context.WithCancelCause(l.ctx)
	end := func() { cancel(context.Cause(ctx)) }
	if ctx.Err() != nil {
		end()
	}
	stop := context.AfterFunc(ctx, end)
	return &handlerContext{leaseContext{inner, l}, context.WithoutCancel(ctx)}, func() { stop() }
}
