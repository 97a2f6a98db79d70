package pool

import (
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"
)

// idleAfter is how long an idle worker keeps its goroutine.
const idleAfter = 10 * time.Second

// Pool runs tasks. All methods may be called from any goroutine.
//
// Workers go on until no task waits, so a goroutine is asked for only when too few are at work. One starts at a time, and has the next
// one started if tasks are left: many short tasks wake a few workers, each of which runs several, and one task that takes long holds up
// none.
type Pool[T any] struct {
	workers int
	run     func(T)
	open    sync.Once
	ants    *ants.PoolWithFuncGeneric[struct{}] // nil before the first task

	mu struct {
		sync.Mutex
		tasks   []T // from first on
		first   int
		active  int  // workers at work or starting
		starts  bool // one is starting
		stopped bool
		emptied chan struct{} // closed when the last worker ends after Stop
	}
}

// New returns a pool of so many workers, at least 1, that calls run with each task. A run that ends its goroutine costs the pool
// nothing; one that panics ends the process, so it must recover what may. There is no goroutine before the first task.
func New[T any](workers int, run func(T)) *Pool[T] {
	p := &Pool[T]{workers: workers, run: run}
	p.mu.emptied = make(chan struct{})
	return p
}

func (p *Pool[T]) make() {
	// One goroutine more than workers: see start.
	pool, err := ants.NewPoolWithFuncGeneric(p.workers+1, func(struct{}) { p.work() },
		ants.WithNonblocking(true), ants.WithExpiryDuration(idleAfter), ants.WithPanicHandler(func(v any) { panic(v) }))
	if err != nil { // a bug: the options are constants
		panic(err)
	}
	p.ants = pool
}

// Add queues tasks, which are copied. After Stop it drops them and returns false.
func (p *Pool[T]) Add(tasks ...T) bool {
	if len(tasks) == 0 {
		return true
	}
	p.mu.Lock()
	if p.mu.stopped {
		p.mu.Unlock()
		return false
	}
	p.mu.tasks = append(p.mu.tasks, tasks...)
	more := p.enterLocked()
	p.mu.Unlock()
	if more {
		p.start()
	}
	return true
}

// enterLocked reports whether another worker is to be started, and counts it.
func (p *Pool[T]) enterLocked() bool {
	if p.mu.starts || p.mu.active == p.workers {
		return false
	}
	p.mu.starts = true
	p.mu.active++
	return true
}

// start gets a goroutine. Of the workers+1 goroutines at most workers are at work, so if all are taken, one has just left work and
// is about to be idle or to end.
func (p *Pool[T]) start() {
	p.open.Do(p.make)
	for {
		if p.ants == nil {
			break // stopped
		}
		err := p.ants.Invoke(struct{}{})
		if err == nil {
			return
		}
		if !errors.Is(err, ants.ErrPoolOverload) {
			break // stopped
		}
		runtime.Gosched()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.starts = false
	p.leaveLocked()
}

// work runs tasks until none waits.
func (p *Pool[T]) work() {
	returned := false
	defer func() {
		if !returned {
			p.replace()
		}
	}()
	for first := true; ; first = false {
		task, ok, more := p.take(first)
		if more {
			p.start()
		}
		if !ok {
			returned = true
			return
		}
		p.run(task)
	}
}

// take takes the first task; where there is none, this worker counts as gone. first is true for a worker that has just started. more:
// another one is to be started.
func (p *Pool[T]) take(first bool) (task T, ok, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first {
		p.mu.starts = false
	}
	if p.mu.first == len(p.mu.tasks) {
		p.mu.tasks, p.mu.first = p.mu.tasks[:0], 0
		if cap(p.mu.tasks) > keepAtMost {
			p.mu.tasks = nil
		}
		p.leaveLocked()
		return task, false, false
	}
	var none T
	task, p.mu.tasks[p.mu.first] = p.mu.tasks[p.mu.first], none
	p.mu.first++
	if p.mu.first > compactFrom && p.mu.first > len(p.mu.tasks)/2 {
		n := copy(p.mu.tasks, p.mu.tasks[p.mu.first:])
		clear(p.mu.tasks[n:])
		p.mu.tasks, p.mu.first = p.mu.tasks[:n], 0
	}
	return task, true, p.mu.first < len(p.mu.tasks) && p.enterLocked()
}

const (
	keepAtMost  = 4096 // room for tasks that an idle pool keeps
	compactFrom = 256
)

// replace is called where a task has ended its goroutine: another worker takes its place.
func (p *Pool[T]) replace() {
	p.mu.Lock()
	if p.mu.first == len(p.mu.tasks) {
		p.leaveLocked()
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.start()
}

func (p *Pool[T]) leaveLocked() {
	p.mu.active--
	if p.mu.active == 0 && p.mu.stopped {
		close(p.mu.emptied)
	}
}

// Waiting returns the number of tasks that have not begun.
func (p *Pool[T]) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.tasks) - p.mu.first
}

// Stop drops what has not begun, and from now on everything. The channel that it returns is closed once nothing runs any more. Call
// it once.
func (p *Pool[T]) Stop() <-chan struct{} {
	p.mu.Lock()
	p.mu.stopped = true
	p.mu.tasks, p.mu.first = nil, 0
	if p.mu.active == 0 {
		close(p.mu.emptied)
	}
	p.mu.Unlock()
	p.open.Do(func() {}) // not made from now on
	if p.ants != nil {
		p.ants.Release()
	}
	return p.mu.emptied
}
