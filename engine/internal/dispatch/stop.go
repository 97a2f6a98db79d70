package dispatch

import (
	"context"
	"fmt"
)

// Wait returns nil once nothing is queued or running and no callback is being called. If ctx ends first, it returns an error
// that tells what is outstanding and wraps the cause of ctx. A handler that calls Wait waits for itself.
func (d *Dispatcher) Wait(ctx context.Context) error {
	d.mu.Lock()
	if len(d.mu.boxes) == 0 {
		d.mu.Unlock()
		return nil
	}
	if d.mu.emptied == nil {
		d.mu.emptied = make(chan struct{})
	}
	emptied := d.mu.emptied
	d.mu.Unlock()

	select {
	case <-emptied:
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-emptied:
		return nil
	default:
	}
	stream := ""
	if d.mu.runs.head != nil {
		stream = d.mu.runs.head.stream
	}
	return fmt.Errorf("%d notifications running (the longest for stream %q) and %d queued: %w",
		d.mu.runs.n, stream, d.mu.queued, context.Cause(ctx))
}

// Stop ends the dispatcher: from now on nothing is accepted, what is queued is dropped, and no delivery starts. It waits, as Wait
// does, for what is running. The pool is closed at once: idle workers and the pool's own goroutines end, and each busy worker
// ends when its handler returns, even after ctx has ended. Stop may be called again, to wait again, and concurrently.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	first := !d.mu.stopping
	d.mu.stopping = true
	if first {
		d.dropLocked()
	}
	d.mu.Unlock()
	if first {
		d.pool.Release()
	}
	return d.Wait(ctx)
}

// dropLocked empties all backlogs and discards the mailboxes that no worker has taken.
func (d *Dispatcher) dropLocked() {
	d.mu.queued = 0
	for b := d.mu.ready.head; b != nil; b = d.mu.ready.head {
		d.mu.ready.remove(b)
		d.discardLocked(b)
	}
	for _, b := range d.mu.boxes { // running or closing: discarded when their delivery is completed
		b.backlog.reset()
	}
}
