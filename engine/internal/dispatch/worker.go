package dispatch

import (
	"errors"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
)

// work is what a worker runs: it delivers until nothing is ready.
func (d *Dispatcher) work(struct{}) {
	now := d.clock()
	d.mu.Lock()
	d.mu.starting = false
	for {
		b := d.takeLocked(now)
		if b == nil {
			d.mu.active--
			d.mu.Unlock()
			return
		}
		wake := d.wakeLocked()
		d.mu.Unlock()
		if wake {
			d.start()
		}
		if d.deliver(b) {
			now = d.completeAndLock(b)
		} else {
			now = d.clock()
			d.mu.Lock()
		}
	}
}

// takeLocked starts the delivery of the first notification of the first mailbox that is ready, and returns that mailbox; nil if
// none is ready.
func (d *Dispatcher) takeLocked(now time.Duration) *mailbox {
	b := d.mu.ready.head
	if b == nil {
		return nil
	}
	d.mu.ready.remove(b)
	d.mu.runs.push(b)
	b.phase = boxRunning
	b.started = now
	b.current = b.backlog.pop()
	d.mu.queued--
	b.seq++
	b.open.Store(b.seq)
	b.parties.Store(2)
	return b
}

// deliver calls Deliver and reports whether the caller has to complete the delivery, since done was called before Deliver
// returned. Otherwise done completes it.
func (d *Dispatcher) deliver(b *mailbox) (complete bool) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		exits := v == nil
		b.panicked = guard.Recovered(v)
		if b.open.CompareAndSwap(b.seq, 0) {
			b.ended = d.clock()
			b.leave()
		}
		complete = b.leave()
		if exits {
			d.quit(b, complete)
		}
	}()
	seq := b.seq
	d.cfg.Deliver(b.current, func(err error) { d.done(b, seq, err) })
	returned = true
	return b.leave()
}

// quit does what work cannot do any more, since Deliver has ended this goroutine: it completes b if that is left to do, and
// lets another worker take this one's place.
func (d *Dispatcher) quit(b *mailbox, complete bool) {
	if complete {
		d.completeAndLock(b)
	} else {
		d.mu.Lock()
	}
	d.mu.active--
	wake := d.wakeLocked()
	d.mu.Unlock()
	if wake {
		d.start()
	}
}

// done ends delivery seq of b, unless it has ended already.
func (d *Dispatcher) done(b *mailbox, seq uint64, err error) {
	if !b.open.CompareAndSwap(seq, 0) {
		return
	}
	b.err = err
	b.ended = d.clock()
	if !b.leave() {
		return // the worker completes it when Deliver returns
	}
	d.completeAndLock(b)
	wake := d.wakeLocked()
	d.mu.Unlock()
	if wake {
		d.start()
	}
}

// completeAndLock reports how the delivery in b ended, and makes b ready again or discards it. It returns with mu locked, and
// the time just before it was locked.
func (d *Dispatcher) completeAndLock(b *mailbox) (now time.Duration) {
	if d.cfg.Finished != nil {
		err := b.err
		if b.panicked != nil {
			err = joinPanic(err, b.panicked)
		}
		d.cfg.Finished(b.current, err, max(b.ended-b.started, 0))
	}
	b.current, b.err, b.panicked = api.Notification{}, nil, nil

	now = d.clock()
	d.mu.Lock()
	d.mu.runs.remove(b)
	if b.backlog.len() == 0 && d.cfg.Idle != nil {
		b.phase = boxClosing
		d.mu.Unlock()
		d.cfg.Idle(b.stream)
		now = d.clock()
		d.mu.Lock()
	}
	if b.backlog.len() > 0 {
		d.readyLocked(b)
	} else {
		d.discardLocked(b)
	}
	return now
}

// discardLocked removes b, which is in no list, from the map and keeps it for reuse.
func (d *Dispatcher) discardLocked(b *mailbox) {
	delete(d.mu.boxes, b.stream)
	b.stream = ""
	b.phase = boxNew
	b.backlog.reset()
	d.spare.Put(b)
	if len(d.mu.boxes) > 0 {
		return
	}
	if d.mu.most > shrinkAbove {
		d.mu.boxes = make(map[string]*mailbox)
	}
	d.mu.most = 0
	if d.mu.emptied != nil {
		close(d.mu.emptied)
		d.mu.emptied = nil
	}
}

// joinPanic joins both errors; it returns panicked alone if err is nil.
func joinPanic(err, panicked error) error {
	if err == nil {
		return panicked
	}
	return errors.Join(err, panicked)
}
