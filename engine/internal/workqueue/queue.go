package workqueue

import (
	"context"
	"sync"
	"time"
)

// Idle is what a crew's work returns when it need not run again until it is woken.
const Idle time.Duration = -1

// Queue runs one kind of work for partitions on a few goroutines: for one partition never twice at once, for several in
// parallel. While the work of a partition runs, whatever wakes it again is done in one go after it, so batches form by
// themselves.
//
// Each partition has a lane, the master that it is on. What is on its way in one lane is bounded, and apart from all others:
// a master that is slow or does not answer keeps the goroutines of its own lane busy and holds up nobody else.
type Queue struct {
	// run does what there is to do for a partition and says after how long it wants to run again, unless woken before.
	run   func(ctx context.Context, partition int) time.Duration
	lane  func(partition int) int
	limit int // partitions at a time, in each lane

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	rested *sync.Cond // with mu: the work of a partition has ended
	mu     struct {
		sync.Mutex
		queue  []int
		items  []item
		busy   map[int]int // partitions whose work runs, by the lane that they were in when it began
		closed bool
	}
}

// item is the state of one partition's work.
type item struct {
	queued  bool
	running bool
	again   bool // woken while running
	timer   *time.Timer
}

// New makes a crew whose goroutines start when there is work, at most limit for each lane, and end with it. lane must
// not call the crew.
func New(ctx context.Context, partitions, limit int, lane func(partition int) int,
	run func(context.Context, int) time.Duration) *Queue {
	c := &Queue{run: run, lane: lane, limit: limit}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.rested = sync.NewCond(&c.mu)
	c.mu.items = make([]item, partitions)
	c.mu.busy = make(map[int]int)
	return c
}

// Add has the work of a partition run soon. It never blocks.
func (c *Queue) Add(partition int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addLocked(partition)
	c.startLocked()
}

func (c *Queue) addLocked(partition int) {
	s := &c.mu.items[partition]
	switch {
	case c.mu.closed:
	case s.running:
		s.again = true
	case !s.queued:
		s.queued = true
		c.mu.queue = append(c.mu.queue, partition)
	}
}

// Regroup looks anew at who is in which lane: what waits behind a master may have another one now.
func (c *Queue) Regroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startLocked()
}

// startLocked starts a goroutine for each partition that waits and whose lane has room.
func (c *Queue) startLocked() {
	for {
		partition, lane, ok := c.nextLocked()
		if !ok {
			return
		}
		c.group.Go(func() { c.work(partition, lane) })
	}
}

// nextLocked takes the first partition out of the queue whose lane has room, to be run.
func (c *Queue) nextLocked() (partition, lane int, ok bool) {
	if c.mu.closed {
		return 0, 0, false
	}
	for i, partition := range c.mu.queue {
		lane := c.lane(partition)
		if c.mu.busy[lane] >= c.limit {
			continue
		}
		c.mu.queue = append(c.mu.queue[:i], c.mu.queue[i+1:]...)
		c.mu.busy[lane]++
		s := &c.mu.items[partition]
		s.queued, s.running = false, true
		return partition, lane, true
	}
	return 0, 0, false
}

// work runs for one partition, and then for others that wait, while there are any.
func (c *Queue) work(partition, lane int) {
	for ok := true; ok; {
		after := c.run(c.ctx, partition)
		c.mu.Lock()
		c.endLocked(partition, lane, after)
		partition, lane, ok = c.nextLocked()
		c.mu.Unlock()
	}
}

func (c *Queue) endLocked(partition, lane int, after time.Duration) {
	if c.mu.busy[lane]--; c.mu.busy[lane] == 0 {
		delete(c.mu.busy, lane)
	}
	s := &c.mu.items[partition]
	s.running = false
	c.rested.Broadcast()
	switch {
	case s.again || after == 0:
		s.again = false
		c.addLocked(partition)
	case after > 0 && !c.mu.closed:
		if s.timer == nil {
			s.timer = time.AfterFunc(after, func() { c.Add(partition) })
		} else {
			s.timer.Reset(after)
		}
	}
}

// WaitIdle waits until the work of a partition does not run, or ctx ends. It may run again at once.
func (c *Queue) WaitIdle(ctx context.Context, partition int) {
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rested.Broadcast()
	})()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.mu.items[partition].running && ctx.Err() == nil {
		c.rested.Wait()
	}
}

// Stop cancels what runs and waits for it. Nothing runs after it; safe twice.
func (c *Queue) Stop() {
	c.mu.Lock()
	c.mu.closed = true
	for i := range c.mu.items {
		if t := c.mu.items[i].timer; t != nil {
			t.Stop()
		}
	}
	c.mu.Unlock()
	c.cancel()
	c.group.Wait()
}

// Sooner is the shorter of two times after which a crew's work wants to run again.
func Sooner(a, b time.Duration) time.Duration {
	if a == Idle || b != Idle && b < a {
		return b
	}
	return a
}
