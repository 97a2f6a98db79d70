package engine

import (
	"context"
	"fmt"
)

// wait returns nil once nothing is queued or running and no callback is being called, or an error that tells what is
// outstanding and wraps the context's cause when that ends first. A handler that waits for the courier waits for
// itself.
func (c *courier) wait(ctx context.Context) error {
	c.mu.Lock()
	if len(c.boxes) == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.emptied == nil {
		c.emptied = make(chan struct{})
	}
	emptied := c.emptied
	c.mu.Unlock()

	select {
	case <-emptied:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-emptied:
		return nil
	default:
	}
	stream := ""
	if c.runs.head != nil {
		stream = c.runs.head.stream
	}
	return fmt.Errorf("%d notifications running (the longest for stream %q) and %d queued: %w",
		c.runs.n, stream, c.waiting, context.Cause(ctx))
}

// stop ends the courier: from now on nothing is accepted, what is queued is dropped (dropped counts it) and no
// delivery starts. It waits, as wait does, for what is running. The pool is closed at once: idle workers and the
// pool's own goroutines end, and each worker that is busy ends when its handler returns, even if that is after the
// context has ended. It may be called again, to wait again, and concurrently.
func (c *courier) stop(ctx context.Context) error {
	c.mu.Lock()
	first := !c.stopping
	c.stopping = true
	if first {
		c.dropLocked()
	}
	c.mu.Unlock()
	if first {
		c.pool.Release()
	}
	return c.wait(ctx)
}

// dropLocked empties all backlogs and discards the mailboxes that were not being delivered.
func (c *courier) dropLocked() {
	c.lost = c.waiting
	c.waiting = 0
	for b := c.ready.head; b != nil; b = c.ready.head {
		c.ready.remove(b)
		c.discardLocked(b)
	}
	for _, b := range c.boxes { // running or closing: discarded when they are through
		b.backlog.reset()
	}
}

// dropped is the number of notifications that stop dropped because they had not started; posts refused after it are
// not among them.
func (c *courier) dropped() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}
