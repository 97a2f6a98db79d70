package outbox

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/engine/internal/guard"
)

// Limit is the number of values that may wait in an Outbox. More are dropped.
const Limit = 1024

// Result is what became of a value. Its text is that of the label of a metric.
type Result int

const (
	Delivered Result = iota // the hook returned
	Panicked                // the hook panicked, or ended its goroutine
	Dropped                 // the hook was not called: too many values waited, or the Outbox was closed
)

// Results are all results, in order.
var Results = [...]Result{Delivered, Panicked, Dropped}

func (r Result) String() string { return [...]string{"delivered", "panicked", "dropped"}[r] }

// Outbox hands values to a hook of the user, one at a time and in order, on a goroutine that exists while values wait. Whoever
// posts never waits for the hook, so renewal does not, and no lock of ours is held while the hook runs. A hook that ends its
// goroutine harms nothing: another one goes on.
type Outbox[T any] struct {
	hand   func(T)
	report func(r Result, err error)

	mu struct {
		sync.Mutex
		queue  []T
		busy   bool // the goroutine exists
		closed bool
		idle   chan struct{} // closed when busy ends; nil while nobody waits
	}
}

// New returns an Outbox whose hook is hand. It calls report with what became of each value, and with the error of a panic
// (*api.PanicError), on the goroutine of the hook or of the caller and with no lock held.
func New[T any](hand func(T), report func(r Result, err error)) *Outbox[T] {
	return &Outbox[T]{hand: hand, report: report}
}

// Post hands v over and returns at once. A value that finds no room, or comes after Close, is dropped.
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
		o.report(Dropped, nil)
	}
	if start {
		go o.work()
	}
}

// work hands over what waits until the queue is empty.
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
				o.report(Panicked, err)
				return
			}
			o.report(Delivered, nil)
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

// Close waits until all values are handed over, or ctx ends. Values that still wait then, or are posted later, are dropped.
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
		o.report(Dropped, nil)
	}
}
