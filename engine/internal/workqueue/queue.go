package workqueue

import (
	"context"
	"sync"
	"time"
)

// Idle is what the work of a key returns when it need not run again until the key is added.
const Idle time.Duration = -1

// Sooner returns the shorter of two delays of the kind that work returns; Idle is longer than any other.
func Sooner(a, b time.Duration) time.Duration {
	if a == Idle || b != Idle && b < a {
		return b
	}
	return a
}

// Queue runs one kind of work for keys. All methods may be called from any goroutine; none but WaitIdle and Stop blocks.
type Queue struct {
	run   func(ctx context.Context, key int) time.Duration
	lane  func(key int) int
	limit int // keys at a time, in each lane

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	ended  *sync.Cond // with mu: the work of a key has ended
	mu     struct {
		sync.Mutex
		queue  []int
		items  []item
		busy   map[int]int // keys whose work runs, by the lane that they were in when it began
		closed bool
	}
}

// item is the state of one key's work.
type item struct {
	queued  bool
	running bool
	again   bool // added while running
	timer   *time.Timer
}

// New returns a queue for the keys from 0 to keys-1. run does what there is to do for a key and returns the delay after which
// it wants to run again unless the key is added before: 0 is at once, behind the other keys, and Idle is never. Its context
// is derived from ctx and ends with Stop. lane must not call the queue.
//
// A goroutine starts when a key can run, at most limit of them for each lane, and ends when no key can.
func New(ctx context.Context, keys, limit int, lane func(key int) int,
	run func(ctx context.Context, key int) time.Duration) *Queue {
	q := &Queue{run: run, lane: lane, limit: limit}
	q.ctx, q.cancel = context.WithCancel(ctx)
	q.ended = sync.NewCond(&q.mu)
	q.mu.items = make([]item, keys)
	q.mu.busy = make(map[int]int)
	return q
}

// Add has the work of a key run soon, or once more if it runs now. After Stop it does nothing.
func (q *Queue) Add(key int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(key)
	q.startLocked()
}

func (q *Queue) addLocked(key int) {
	x := &q.mu.items[key]
	switch {
	case q.mu.closed:
	case x.running:
		x.again = true
	case !x.queued:
		x.queued = true
		q.mu.queue = append(q.mu.queue, key)
	}
}

// Regroup must be called when keys have changed lanes: keys that wait for room in one lane may find room in another.
func (q *Queue) Regroup() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.startLocked()
}

// startLocked starts a goroutine for each queued key whose lane has room.
func (q *Queue) startLocked() {
	for {
		key, lane, ok := q.nextLocked()
		if !ok {
			return
		}
		q.group.Go(func() { q.work(key, lane) })
	}
}

// nextLocked takes the first key whose lane has room out of the queue, to be run.
func (q *Queue) nextLocked() (key, lane int, ok bool) {
	if q.mu.closed {
		return 0, 0, false
	}
	for i, key := range q.mu.queue {
		lane := q.lane(key)
		if q.mu.busy[lane] >= q.limit {
			continue
		}
		q.mu.queue = append(q.mu.queue[:i], q.mu.queue[i+1:]...)
		q.mu.busy[lane]++
		x := &q.mu.items[key]
		x.queued, x.running = false, true
		return key, lane, true
	}
	return 0, 0, false
}

// work runs for one key, and then for others that are queued, while there are any.
func (q *Queue) work(key, lane int) {
	for ok := true; ok; {
		after := q.run(q.ctx, key)
		q.mu.Lock()
		q.endLocked(key, lane, after)
		key, lane, ok = q.nextLocked()
		q.mu.Unlock()
	}
}

func (q *Queue) endLocked(key, lane int, after time.Duration) {
	if q.mu.busy[lane]--; q.mu.busy[lane] == 0 {
		delete(q.mu.busy, lane)
	}
	x := &q.mu.items[key]
	x.running = false
	q.ended.Broadcast()
	switch {
	case x.again || after == 0:
		x.again = false
		q.addLocked(key)
	case after > 0 && !q.mu.closed:
		if x.timer == nil {
			x.timer = time.AfterFunc(after, func() { q.Add(key) })
		} else {
			x.timer.Reset(after)
		}
	}
}

// WaitIdle waits until the work of a key does not run, or ctx ends. The work may run again at once.
func (q *Queue) WaitIdle(ctx context.Context, key int) {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.ended.Broadcast()
	})()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.mu.items[key].running && ctx.Err() == nil {
		q.ended.Wait()
	}
}

// Stop cancels what runs and waits for it. Nothing runs afterwards. It may be called again, and concurrently.
func (q *Queue) Stop() {
	q.mu.Lock()
	q.mu.closed = true
	for i := range q.mu.items {
		if t := q.mu.items[i].timer; t != nil {
			t.Stop()
		}
	}
	q.mu.Unlock()
	q.cancel()
	q.group.Wait()
}
