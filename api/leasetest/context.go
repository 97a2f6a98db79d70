package leasetest

import "context"

// leaseContext is an ordinary cancel context that looks at the lease before it
// answers. It embeds one, so that contexts derived from it cost no goroutine.
type leaseContext struct {
	context.Context
	lease *Lease
}

// Err is right at the very moment at which the lease ends.
func (c *leaseContext) Err() error {
	c.lease.check()
	return c.Context.Err()
}

// Value looks first because context.Cause, and the making of a derived context,
// come this way and not through Err.
func (c *leaseContext) Value(key any) any {
	c.lease.check()
	return c.Context.Value(key)
}
