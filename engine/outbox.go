package engine

import (
	"context"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/internal/guard"
)

const (
	// outboxMost is how many things wait for one hook of the user. More are dropped.
	outboxMost = 1024
	// outboxPatience is how long the end of an engine waits for them.
	outboxPatience = time.Second
)

// hookResults are what becomes of what is handed to a hook.
var hookResults = [...]string{hookDelivered: "delivered", hookPanicked: "panicked", hookDropped: "dropped"}

type hookResult int

const (
	hookDelivered hookResult = iota
	hookPanicked
	hookDropped
)

// outbox hands things to code of the user, one at a time and in order, on a goroutine that is there while something
// waits. Who posts never waits for that code, wherever it is called from: renewal does not (G4), and nothing of ours is
// locked while it runs. What it does to its goroutine concerns nobody else.
type outbox[T any] struct {
	hand func(T)
	// told is called with what became of each, and the error of a panic; no lock is held.
	told func(r hookResult, err error)

	mu struct {
		sync.Mutex
		queue  []T
		busy   bool // there is a goroutine
		closed bool
		idle   chan struct{} // closed when busy ends; nil while nobody waits
	}
}

func newOutbox[T any](hand func(T), told func(r hookResult, err error)) *outbox[T] {
	return &outbox[T]{hand: hand, told: told}
}

func (o *outbox[T]) post(v T) {
	o.mu.Lock()
	dropped := o.mu.closed || len(o.mu.queue) >= outboxMost
	start := !dropped && !o.mu.busy
	if !dropped {
		o.mu.queue = append(o.mu.queue, v)
		o.mu.busy = true
	}
	o.mu.Unlock()
	if dropped {
		o.told(hookDropped, nil)
	}
	if start {
		go o.work()
	}
}

// work hands over what waits, until nothing does.
func (o *outbox[T]) work() {
	empty := false
	defer func() {
		if !empty {
			go o.work() // the hook has ended this goroutine
		}
	}()
	for {
		v, ok := o.next()
		if !ok {
			empty = true
			return
		}
		guard.Finally(func() error { o.hand(v); return nil }, func(err error) {
			if err != nil {
				o.told(hookPanicked, err)
				return
			}
			o.told(hookDelivered, nil)
		})
	}
}

func (o *outbox[T]) next() (v T, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.mu.queue) > 0 {
		v, o.mu.queue = o.mu.queue[0], o.mu.queue[1:]
		return v, true
	}
	o.mu.queue, o.mu.busy = nil, false
	if o.mu.idle != nil {
		close(o.mu.idle)
		o.mu.idle = nil
	}
	return v, false
}

// close waits until all is handed over, or ctx ends. What comes afterwards, or waits then, is dropped.
func (o *outbox[T]) close(ctx context.Context) {
	o.mu.Lock()
	var idle chan struct{}
	if o.mu.busy {
		if o.mu.idle == nil {
			o.mu.idle = make(chan struct{})
		}
		idle = o.mu.idle
	}
	o.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-ctx.Done():
		}
	}
	o.mu.Lock()
	left := len(o.mu.queue)
	o.mu.queue, o.mu.closed = nil, true
	o.mu.Unlock()
	for range left {
		o.told(hookDropped, nil)
	}
}
