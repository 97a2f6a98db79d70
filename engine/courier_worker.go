package engine

import (
	"errors"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
)

// work is a worker: it delivers until nothing is ready.
func (c *courier) work(struct{}) {
	now := c.clock()
	c.mu.Lock()
	c.starting = false
	for {
		b := c.takeLocked(now)
		if b == nil {
			c.active--
			c.mu.Unlock()
			return
		}
		wake := c.wakeLocked()
		c.mu.Unlock()
		if wake {
			c.start()
		}
		if c.deliver(b) {
			now = c.completeAndLock(b)
		} else {
			now = c.clock()
			c.mu.Lock()
		}
	}
}

// takeLocked starts the delivery of the first notification of the first mailbox that is ready; nil: none is.
func (c *courier) takeLocked(now time.Duration) *mailbox {
	b := c.ready.head
	if b == nil {
		return nil
	}
	c.ready.remove(b)
	c.runs.push(b)
	b.phase = boxRunning
	b.started = now
	b.current = b.backlog.pop()
	c.waiting--
	b.seq++
	b.open.Store(b.seq)
	b.parties.Store(2)
	return b
}

// deliver calls Deliver and says whether the delivery is to be completed by the caller: done was called before Deliver
// returned. Otherwise done completes it.
func (c *courier) deliver(b *mailbox) (complete bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		exits := v == nil
		b.panicked = guard.Recovered(v)
		if b.open.CompareAndSwap(b.seq, 0) {
			b.ended = c.clock()
			b.leave()
		}
		complete = b.leave()
		if exits {
			c.quit(b, complete)
		}
	}()
	seq := b.seq
	c.cfg.Deliver(b.current, func(err error) { c.done(b, seq, err) })
	returned = true
	return b.leave()
}

// quit does what work can no longer do, since Deliver ended this goroutine: it completes b and lets another worker
// take this one's place.
func (c *courier) quit(b *mailbox, complete bool) {
	if complete {
		c.completeAndLock(b)
	} else {
		c.mu.Lock()
	}
	c.active--
	wake := c.wakeLocked()
	c.mu.Unlock()
	if wake {
		c.start()
	}
}

// done ends delivery seq of b, unless it was ended before.
func (c *courier) done(b *mailbox, seq uint64, err error) {
	if !b.open.CompareAndSwap(seq, 0) {
		return
	}
	b.err = err
	b.ended = c.clock()
	if !b.leave() {
		return // the worker completes it when Deliver returns
	}
	c.completeAndLock(b)
	wake := c.wakeLocked()
	c.mu.Unlock()
	if wake {
		c.start()
	}
}

// completeAndLock tells how the delivery in b ended and makes b ready again, or removes it. It returns with mu held,
// and the time just before it was taken.
func (c *courier) completeAndLock(b *mailbox) (now time.Duration) {
	if c.cfg.Finished != nil {
		err := b.err
		if b.panicked != nil {
			err = joinPanic(err, b.panicked)
		}
		c.cfg.Finished(b.current, err, max(b.ended-b.started, 0))
	}
	b.current, b.err, b.panicked = api.Notification{}, nil, nil

	now = c.clock()
	c.mu.Lock()
	c.runs.remove(b)
	if b.backlog.len() == 0 && c.cfg.Idle != nil {
		b.phase = boxClosing
		c.mu.Unlock()
		c.cfg.Idle(b.stream)
		now = c.clock()
		c.mu.Lock()
	}
	if b.backlog.len() > 0 {
		c.readyLocked(b)
	} else {
		c.discardLocked(b)
	}
	return now
}

// discardLocked forgets b, which is in no list.
func (c *courier) discardLocked(b *mailbox) {
	delete(c.boxes, b.stream)
	b.stream = ""
	b.phase = boxNew
	b.backlog.reset()
	c.spare.Put(b)
	if len(c.boxes) > 0 {
		return
	}
	if c.most > shrinkAbove {
		c.boxes = make(map[string]*mailbox)
	}
	c.most = 0
	if c.emptied != nil {
		close(c.emptied)
		c.emptied = nil
	}
}

// joinPanic is the panic alone if there was no other error.
func joinPanic(err, panicked error) error {
	if err == nil {
		return panicked
	}
	return errors.Join(err, panicked)
}
