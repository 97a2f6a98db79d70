package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/lease"
)

// What layered keeps in Lease.Delivery, guarded by its mutex, besides toldDraining and toldRebalanced.
const (
	useBegun  uint8 = 1 << iota // Added is being called, or was
	useOver                     // Ended was called
	useLost                     // Disowned waits, or was called
	useLeft                     // the lease has left the table, or is about to
	usePassed                   // the middleware has passed it on to the layer
	useFell                     // the layer's Added has panicked
)

// What is wrong with a middleware, where that is said to it or of it.
var (
	errNotPassed = errors.New("a middleware did not call its handler, or hid its panic, so no work for the lease has begun; have it return an error instead")
	errPassed    = errors.New("a middleware has to call its handler once, before it returns, and with the lease that it got")
)

// mostCalls is the number of leases with calls above which the map is replaced once it is empty: a Go map keeps the memory of the most
// entries that it ever had.
const mostCalls = 1024

// layeredConfig is what a layered works with. All are set.
type layeredConfig struct {
	layer   Layer
	handled func(n api.Notification, err error, took time.Duration) // counts a call
	failed  func(n api.Notification, err error)                     // logs what a call ended with, and fails the lease of an Added
	ignored func(n api.Notification, err error)                     // logs an error that changes nothing
	idle    func(stream string)                                     // a stream is not in use here any more
	dropped func()                                                  // a signal was dropped, since too many wait
}

// layered is how RunLayer delivers. Added comes from a worker of the dispatcher. Everything else goes past the dispatcher: it is
// appended to what waits for the lease, by whoever caused it and whatever they have locked, and called from one goroutine, which
// runs while there is something to call. So neither renewal nor a mutex of the engine ever waits for a layer.
//
// The dispatcher is done with a stream when Added has returned, and the table when the lease has ended. A stream whose work goes on
// after that is in lingering, and counts as busy as one whose handler runs. It gets there before the lease leaves the table.
type layered struct {
	layeredConfig
	adder   api.Handler // has the layer's Added called, with the middleware around it
	changes cond.Cond   // something of what is in mu is less than before

	mu struct {
		sync.Mutex
		waiting   map[*lease.Lease]*calls // by lease, while there is something to call, or Added is being called
		most      int                     // most entries in waiting since it was made
		queue     []*lease.Lease          // whose calls the goroutine makes next
		missed    []int                   // partitions for which SignalsMissed is to be called
		calling   bool                    // the goroutine runs
		open      int                     // leases for which Added was called and Ended was not
		lingering map[string]*lease.Lease // those of them that are not in the table any more
		topology  topologyCalls
		closed    bool
	}
}

// calls are what is to be called for a lease.
type calls struct {
	adding bool // Added is being called: the rest waits
	queued bool
	rest   []api.Notification
}

// topologyCalls say whether Topology is being called, and whether it is to be called again.
type topologyCalls struct{ calling, again bool }

var _ delivery = (*layered)(nil)

// newLayered returns the delivery to a layer, whose Added has middleware around it by wrap.
func newLayered(c layeredConfig, wrap func(api.Handler) (api.Handler, error)) (w *layered, err error) {
	w = &layered{layeredConfig: c}
	w.mu.waiting = make(map[*lease.Lease]*calls)
	w.mu.lingering = make(map[string]*lease.Lease)
	w.adder, err = wrap(api.HandlerFunc(w.pass))
	return w, err
}

// deliver calls Added, in the middleware. done is called as soon as that has returned: the stream is busy for as long as its lease is listed, or lingers.
func (w *layered) deliver(n api.Notification, done func(error)) {
	if n.Kind != api.Added {
		done(nil)
		return
	}
	l := n.Lease.(*lease.Lease)
	if !w.begin(l) {
		done(nil)
		return
	}
	guard.Finally(func() error { return w.adder.Handle(l.Context(), n) }, func(err error) {
		if w.taken(l) { // the layer works for it, and ends that
			if err != nil {
				w.ignored(n, err)
			}
			err = nil
		} else {
			if err == nil {
				err = errNotPassed
			}
			w.over(l, func() {}) // done fails it
		}
		w.added(l)
		done(err)
	})
}

// pass is the handler within the middleware.
func (w *layered) pass(_ context.Context, n api.Notification) error {
	l, _ := n.Lease.(*lease.Lease)
	if l == nil || !w.passes(l) {
		return errPassed
	}
	returned := false
	defer func() {
		if !returned {
			w.mu.Lock()
			defer w.mu.Unlock()
			l.Delivery |= useFell
		}
	}()
	w.layer.Added(l)
	returned = true
	return nil
}

// passes records that the middleware passes a lease on. It reports false when that is too late, or happened before.
func (w *layered) passes(l *lease.Lease) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.Delivery&(useBegun|usePassed|useOver) != useBegun {
		return false
	}
	l.Delivery |= usePassed
	return true
}

// taken reports whether the layer has got a lease, and calls Ended for it.
func (w *layered) taken(l *lease.Lease) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return l.Delivery&(usePassed|useFell) == usePassed
}

// begin records that Added is about to be called. It reports false when nothing may be called any more.
func (w *layered) begin(l *lease.Lease) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.closed {
		return false
	}
	w.callsLocked(l).adding = true
	l.Delivery |= useBegun
	w.mu.open++
	if l.Delivery&useLeft != 0 {
		w.mu.lingering[l.Stream()] = l
	}
	return true
}

// added lets what has waited for the end of Added be called.
func (w *layered) added(l *lease.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.mu.waiting[l]
	c.adding = false
	w.scheduleLocked(l, c)
}

// end is what Engine.Ended does.
func (w *layered) end(l *lease.Lease, err error) {
	w.over(l, func() {
		if err == nil {
			l.HandBackFor(w.reason(l))
			return
		}
		w.failed(api.Notification{Kind: api.Added, Stream: l.Stream(), Token: l.Token(), Lease: l}, guard.Error(err))
	})
}

// reason returns why a lease is handed back, for the cause of its context.
func (w *layered) reason(l *lease.Lease) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why := told(l.Delivery); why != nil {
		return why
	}
	return api.ErrReleasing // by the layer, unasked
}

// over records that the work for a lease is over, the first time it is called, and then calls act.
func (w *layered) over(l *lease.Lease, act func()) {
	w.mu.Lock()
	if l.Delivery&(useBegun|useOver) != useBegun {
		w.mu.Unlock()
		return
	}
	l.Delivery |= useOver
	w.mu.open--
	stream := l.Stream()
	lingered := w.mu.lingering[stream] == l
	if lingered {
		delete(w.mu.lingering, stream)
	}
	w.mu.Unlock()
	act()
	if lingered {
		w.idle(stream)
	}
	w.changes.Broadcast()
}

// prompt takes every notification but Added.
func (w *layered) prompt(n api.Notification) bool {
	l, _ := n.Lease.(*lease.Lease)
	if n.Kind == api.Added || l == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.closed || l.Delivery&(useOver|useLost) != 0 {
		return true
	}
	switch n.Kind {
	case api.Disowned:
		l.Delivery |= useLost
	case api.Releasing:
		l.Delivery |= toldOf(n.Err)
	}
	c := w.callsLocked(l)
	if n.Kind == api.Signaled && len(c.rest) >= signalsWaiting {
		w.dropped()
		return true
	}
	c.rest = append(c.rest, n)
	w.scheduleLocked(l, c)
	return true
}

// callsLocked returns what waits for a lease.
func (w *layered) callsLocked(l *lease.Lease) *calls {
	c := w.mu.waiting[l]
	if c == nil {
		c = &calls{}
		w.mu.waiting[l] = c
		w.mu.most = max(w.mu.most, len(w.mu.waiting))
	}
	return c
}

// scheduleLocked has the goroutine make the calls that wait for a lease, unless it is too early for them.
func (w *layered) scheduleLocked(l *lease.Lease, c *calls) {
	switch {
	case c.adding || c.queued || l.Delivery&useBegun == 0:
		return
	case len(c.rest) == 0:
		delete(w.mu.waiting, l)
		if len(w.mu.waiting) == 0 && w.mu.most > mostCalls {
			w.mu.waiting, w.mu.most = make(map[*lease.Lease]*calls), 0
		}
		return
	}
	c.queued = true
	w.mu.queue = append(w.mu.queue, l)
	w.callLocked()
}

// callLocked starts the goroutine, unless it runs.
func (w *layered) callLocked() {
	if !w.mu.calling {
		w.mu.calling = true
		go w.loop()
	}
}

// loop makes the calls that wait, until there are none.
func (w *layered) loop() {
	defer w.restart()
	for {
		w.mu.Lock()
		if len(w.mu.missed) > 0 && !w.mu.closed {
			partition := w.mu.missed[0]
			w.mu.missed = slices.Delete(w.mu.missed, 0, 1)
			w.mu.Unlock()
			w.callMissed(partition)
			continue
		}
		batch := w.mu.queue
		w.mu.queue = nil
		if len(batch) == 0 {
			w.mu.calling = false
			w.mu.Unlock()
			w.changes.Broadcast()
			return
		}
		w.mu.Unlock()
		for _, l := range batch {
			w.callAll(l)
		}
	}
}

// restart goes on with the calls when a method has ended the goroutine with runtime.Goexit.
func (w *layered) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mu.calling {
		return
	}
	// What was queued with the call that did it has lost its place.
	w.mu.queue = w.mu.queue[:0]
	for l, c := range w.mu.waiting {
		if c.queued {
			w.mu.queue = append(w.mu.queue, l)
		}
	}
	go w.loop()
}

// callAll makes the calls that wait for one lease.
func (w *layered) callAll(l *lease.Lease) {
	for {
		w.mu.Lock()
		c := w.mu.waiting[l]
		if l.Delivery&useOver != 0 || w.mu.closed {
			c.rest = nil
		}
		if len(c.rest) == 0 {
			c.queued = false
			w.scheduleLocked(l, c)
			w.mu.Unlock()
			return
		}
		n := c.rest[0]
		c.rest = c.rest[1:]
		w.mu.Unlock()
		w.call(n)
	}
}

// call makes one call.
func (w *layered) call(n api.Notification) {
	began := time.Now()
	guard.Finally(func() error {
		switch n.Kind {
		case api.Releasing:
			w.layer.Releasing(n.Lease, n.Err)
		case api.Superseded:
			w.layer.Superseded(n.Lease)
		case api.Signaled:
			w.layer.Signaled(n.Lease, n.Payload)
		case api.Disowned:
			w.layer.Disowned(n.Lease, n.Err)
		}
		return nil
	}, func(err error) {
		w.handled(n, err, time.Since(began))
		if err != nil {
			w.failed(n, err)
		}
	})
}

func (w *layered) callMissed(partition int) {
	guard.Finally(func() error { w.layer.SignalsMissed(partition); return nil }, func(err error) {
		if err != nil {
			w.failed(api.Notification{}, err)
		}
	})
}

// leaving is called before a lease leaves the table: a stream that is in use stays busy.
func (w *layered) leaving(l *lease.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.Delivery |= useLeft
	if l.Delivery&(useBegun|useOver) == useBegun {
		w.mu.lingering[l.Stream()] = l
	}
}

// busy reports whether work for an earlier lease of a stream goes on.
func (w *layered) busy(stream string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.lingering[stream] != nil
}

// wait waits until Ended was called for every lease.
func (w *layered) wait(ctx context.Context) error {
	open := 0
	ok := w.changes.Wait(ctx, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		open = w.mu.open
		return open == 0
	})
	if !ok {
		return fmt.Errorf("the layer has not ended its work for %d streams", open)
	}
	return nil
}

func (w *layered) handsBack() bool { return false }

// blocks returns true: Added occupies a worker until it returns.
func (w *layered) blocks() bool { return true }

// finish waits for the calls that are left, and makes no further ones.
func (w *layered) finish(ctx context.Context, _ error) error {
	ok := w.changes.Wait(ctx, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.mu.calling && !w.mu.topology.calling
	})
	w.mu.Lock()
	w.mu.closed = true
	w.mu.Unlock()
	if !ok {
		return errors.New("a method of the layer did not return")
	}
	return nil
}
