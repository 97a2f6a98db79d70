package lease

import (
	"context"

	"github.com/streamlease/streamlease/api"
)

// DoneIf is Done, but only while the lease carries mark in Redis, which Store.Shut returned. Otherwise the lease goes on, and DoneIf
// returns api.ErrNotShut.
//
// Nobody else can get the stream before Redis has ended the lease, and then it is over. So while that is not known, Remaining is 0, since
// it may be over; but the context goes on, the lease is renewed, and everything else that would end it waits: when the attempt turns
// out to have failed, Remaining is as before, under the same token. What this process did not do meanwhile, it goes on with.
//
// While an attempt is under way, another call waits for the same outcome, whatever its mark.
func (l *Lease) DoneIf(ctx context.Context, mark string) error {
	e := l.ending.Load()
	switch {
	case e == nil && mark == "" && l.Believed() > 0:
		return api.ErrNotShut
	case e == nil:
		e, _ = l.end(&Ending{Kind: EndDone, Cause: l.ownEnd(EndDone), IfShut: mark, attempt: &attempt{}, settled: make(chan struct{})})
	}
	if e.Kind != EndDone {
		return api.NotHeld(e.Cause)
	}
	return l.wait(ctx, e)
}

// Undo ends an attempt that has not ended the lease in Redis. It reports whether the lease is held again. If not, it was lost meanwhile
// (EndLost), or what was kept until now has ended it, and is carried out. lost is called in the first case, before the owner learns of it.
func (l *Lease) Undo(lost func()) (held bool) {
	e := l.ending.Load()
	var next *Ending
	e.undo(func(kept *Ending) {
		next = kept
		if next == nil && l.Believed() == 0 {
			next = &Ending{Kind: EndLost, Cause: api.ErrLeaseLost}
		}
		if next == nil {
			l.openCheckpoint() // before anybody can count on owning the stream again
		}
		l.ending.Store(next)
	})
	if next == nil {
		l.listCheckpoint()
		e.Settle(api.ErrNotShut)
		return true
	}
	l.cancelContext()
	if next.Kind == EndLost {
		lost()
		e.Settle(next.Cause)
		return false
	}
	e.Settle(api.NotHeld(next.Cause))
	l.completer.End(l)
	return false
}

// Conclude makes the ending final. It must be called before the ending is settled, and does nothing unless that is an attempt.
func (l *Lease) Conclude() {
	if e := l.ending.Load(); e.attempt != nil {
		e.conclude()
		l.cancelContext()
	}
}

// openCheckpoint takes back EndCheckpoint.
func (l *Lease) openCheckpoint() {
	if c := l.checkpoint.Load(); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closed = false
	}
}

// listCheckpoint has a checkpoint stored that was not, once the lease is held again: meanwhile it may have been passed over.
func (l *Lease) listCheckpoint() {
	c := l.checkpoint.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	l.listLocked(c)
	wanted := c.wanted
	c.mu.Unlock()
	if wanted {
		l.session.unsaved.want()
	}
}
