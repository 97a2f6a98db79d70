package schedule

import (
	"context"

	"github.com/streamlease/streamlease/engine/internal/guard"
)

// leave has an ownership end as soon as its task is idle.
func (k *core) leave(e *entry, how leaving) {
	if e == nil || e.phase >= stopping || how.how <= e.leaving.how {
		return
	}
	e.leaving = how
	e.dropped.Store(true)
	k.wheel.Cancel(e.handle)
	switch e.phase {
	case loading:
		k.end(e)
	case resting:
		k.close(e)
	case busy:
		if e.cancel != nil {
			e.cancel() // the checkpoint goes along with the ending
		}
	}
}

// close stops the task of an entry and ends its ownership.
func (k *core) close(e *entry) {
	task, ok := e.task.(Stopper)
	if !ok {
		k.end(e)
		return
	}
	e.phase = stopping
	cause := e.leaving.cause
	k.hooks.Add(func() {
		guard.Finally(func() error { task.Stop(cause); return nil }, func(err error) {
			k.panicked("Stop", err)
			k.inbox.put(func() { k.end(e) })
		})
	})
}

// end ends an ownership whose task is stopped.
func (k *core) end(e *entry) {
	l, how := e.lease, e.leaving
	k.remove(e)
	switch how.how {
	case failed:
		k.ends.Ended(l, how.cause)
	case replaced, deleted:
		if how.how == deleted {
			l.DropCheckpoint()
		}
		k.chores.Add(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), stepTimeout)
			defer cancel()
			_ = l.Done(ctx) // whatever comes of it, nothing is owned any more: what has failed is tried on by the engine
			k.ends.Ended(l, nil)
		})
	default:
		k.ends.Ended(l, nil)
	}
}
