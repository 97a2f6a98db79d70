package cond

import (
	"context"
	"sync"
	"sync/atomic"
)

// Cond wakes all who wait when something may have changed. A waiter takes the channel, looks, and then waits on that channel,
// so no change between the look and the wait is missed. A broadcast costs next to nothing while nobody waits. The zero value
// is ready for use.
type Cond struct {
	waiters atomic.Int32

	mu struct {
		sync.Mutex
		ch chan struct{} // closed by the next broadcast; nil: nobody waits for one
	}
}

// Wait calls ok, at once and after each Broadcast, until it returns true; then Wait returns true. It returns false if ctx ends
// first. No lock of the Cond is held while ok runs.
func (c *Cond) Wait(ctx context.Context, ok func() bool) bool {
	c.waiters.Add(1)
	defer c.waiters.Add(-1)
	for {
		c.mu.Lock()
		if c.mu.ch == nil {
			c.mu.ch = make(chan struct{})
		}
		ch := c.mu.ch
		c.mu.Unlock()
		if ok() {
			return true
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return false
		}
	}
}

// Broadcast must be called after each change that a waiter may be waiting for.
func (c *Cond) Broadcast() {
	if c.waiters.Load() == 0 {
		return
	}
	c.mu.Lock()
	if c.mu.ch != nil {
		close(c.mu.ch)
		c.mu.ch = nil
	}
	c.mu.Unlock()
}

// Waiters returns the number of calls of Wait that have not returned.
func (c *Cond) Waiters() int { return int(c.waiters.Load()) }
