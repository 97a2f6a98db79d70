package outbox

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/engine/internal/guard"
)

// Limit is how many values wait in an Outbox. More are dropped.
const Limit = 1024

// Result is what became of a value.
type Result int

const (
	Delivered Result = iota
	Panicked
	Dropped
)

// Results are all of them.
var Results = [...]Result{Delivered, Panicked, Dropped}

func (r Result) String() string { return [...]string{"delivered", "panicked", "dropped"}[r] }

// Outbox hands things to code of the user, one at a time and in order, on a goroutine that is there while something
// waits. Who posts never waits for that code, wherever it is called from: renewal does not (G4), and nothing of ours is
// locked while it runs. What it does to its goroutine concerns nobody else.
type Outbox[T any] struct {
	hand func(T)
	// told is called with what became of each, and the error of a panic; no lock is held.
	told func(r Result, err error)

	mu struct {
		sync.Mutex
		queue  []T
		busy   bool // there is a goroutine
		closed bool
		idle   chan struct{} // closed when busy ends; nil while nobody waits
	}
}

func New[T any](hand func(T), told func(r Result, err error)) *Outbox[T] {
	return &Outbox[T]{hand: hand, told: told}
}

func (o *Outbox[T]) Post(v T) {
	o.mu.Lock()
	dropped := o.mu.closed || len(o.mu.queue) >= Limit
	start := !dropped && !o.mu.busy
	if !dropped {
		o.mu.queue = append(o.mu.queue, v)
		o.mu.busy = true
	}
	o.mu.Unlock()
	if dropped {
		o.told(Dropped, nil)
	}
	if start {
		go o.work()
	}
}

// work hands over what waits, until nothing does.
func (o *Outbox[T]) work() {
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
				o.told(Panicked, err)
				return
			}
			o.told(Delivered, nil)
		})
	}
}

func (o *Outbox[T]) next() (v T, ok bool) {
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

// Close waits until all is handed over, or ctx ends. What comes afterwards, or waits then, is dropped.
func (o *Outbox[T]) Close(ctx context.Context) {
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
		o.told(Dropped, nil)
	}
}
