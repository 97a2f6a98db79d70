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
