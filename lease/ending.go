package lease

import (
	"sync"
	"sync/atomic"

	"github.com/streamlease/streamlease/api"
)

// EndKind is the way in which a lease ended.
type EndKind uint8

const (
	EndLost     EndKind = iota + 1 // not by its owner
	EndDone                        // Done
	EndReleased                    // Release
	EndFailed                      // Fail, or an error from Added
	EndHandBack                    // by the engine, after Releasing
)

// Ending is how and why a lease ended, and the outcome in Redis.
type Ending struct {
	Kind  EndKind
	Cause error // of the lease's context
	Why   error // EndFailed: the user's reason

	// IfShut is the mark without which the lease does not end; EndDone only. Until that is known, the ending is an attempt, and may be
	// undone.
	IfShut  string
	attempt *attempt // not nil with IfShut

	settled chan struct{} // closed when err is set; nil for EndLost, which nobody waits for
	err     error
}

// Settle records the outcome of the ending in Redis, which is also that of an ending that was kept meanwhile. It is called once, by
// whoever carries out endings.
func (e *Ending) Settle(err error) {
	e.err = err
	close(e.settled)
	if e.attempt == nil {
		return
	}
	switch kept := e.attempt.mu.next; { // it does not change any more
	case kept == nil || kept.settled == nil:
	case kept.Kind == EndDone:
		kept.Settle(err)
	default:
		kept.Settle(api.NotHeld(e.Cause))
	}
}

// attempt is what an ending that may be undone has besides: what is to happen if it is. While it is not over, the lease counts as not
// held, and everything that would end it is kept here instead.
type attempt struct {
	over atomic.Bool // it is known whether the lease ended

	mu struct {
		sync.Mutex
		next *Ending // ends the lease if this attempt does not
	}
}

// trying reports whether it is not known yet whether the lease has ended.
func (e *Ending) trying() bool { return e.attempt != nil && !e.attempt.over.Load() }

// then keeps an ending for when this attempt has not ended the lease, and returns the one that is kept: the first. It returns nil if the
// attempt is over.
func (e *Ending) then(next *Ending) *Ending {
	a := e.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over.Load() {
		return nil
	}
	if a.mu.next == nil {
		a.mu.next = next
	}
	return a.mu.next
}

// conclude ends the attempt.
func (e *Ending) conclude() {
	a := e.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over.Store(true)
}

// undo ends the attempt, but before anybody can see that it calls replace with what was kept, nil if nothing was.
func (e *Ending) undo(replace func(kept *Ending)) {
	a := e.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	replace(a.mu.next)
	a.mu.next = nil
	a.over.Store(true)
}
