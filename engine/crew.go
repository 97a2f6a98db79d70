package engine

import (
	"context"
	"sync"
	"time"
)

// nothingMore is what a crew's work returns when it need not run again until it is woken.
const nothingMore time.Duration = -1

// crew runs one kind of work for partitions on a few goroutines: for one partition never twice at once, for several in
// parallel. While the work of a partition runs, whatever wakes it again is done in one go after it, so batches form by
// themselves. One slow partition keeps one goroutine busy and none of the others.
type crew struct {
	// run does what there is to do for a partition and says after how long it wants to run again, unless woken before.
	run func(ctx context.Context, partition int) time.Duration

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	work   *sync.Cond // with mu: queue is not empty, or closed
	rested *sync.Cond // with mu: the work of a partition has ended
	mu     struct {
		sync.Mutex
		queue  []int
		shifts []shift
		closed bool
	}
}

// shift is the state of one partition's work.
type shift struct {
	queued  bool
	running bool
	again   bool // woken while running
	timer   *time.Timer
}

// newCrew starts as many goroutines as there are partitions, at most limit. They end with stop.
func newCrew(ctx context.Context, partitions, limit int, run func(context.Context, int) time.Duration) *crew {
	c := &crew{run: run}
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.work, c.rested = sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	c.mu.shifts = make([]shift, partitions)
	for range min(partitions, limit) {
		c.group.Go(c.loop)
	}
	return c
}

// wake has the work of a partition run soon. It never blocks.
func (c *crew) wake(partition int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked(partition)
}

func (c *crew) wakeLocked(partition int) {
	s := &c.mu.shifts[partition]
	switch {
	case c.mu.closed:
	case s.running:
		s.again = true
	case !s.queued:
		s.queued = true
		c.mu.queue = append(c.mu.queue, partition)
		c.work.Signal()
	}
}

func (c *crew) loop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.mu.queue) == 0 && !c.mu.closed {
			c.work.Wait()
		}
		if c.mu.closed {
			return
		}
		partition := c.mu.queue[0]
		c.mu.queue = c.mu.queue[1:]
		s := &c.mu.shifts[partition]
		s.queued, s.running = false, true
		c.mu.Unlock()
		after := c.run(c.ctx, partition)
		c.mu.Lock()
		s.running = false
		c.rested.Broadcast()
		switch {
		case s.again || after == 0:
			s.again = false
			c.wakeLocked(partition)
		case after > 0 && !c.mu.closed:
			if s.timer == nil {
				s.timer = time.AfterFunc(after, func() { c.wake(partition) })
			} else {
				s.timer.Reset(after)
			}
		}
	}
}

// rest waits until the work of a partition does not run, or ctx ends. It may run again at once.
func (c *crew) rest(ctx context.Context, partition int) {
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rested.Broadcast()
	})()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.mu.shifts[partition].running && ctx.Err() == nil {
		c.rested.Wait()
	}
}

// stop cancels what runs and waits for it. Nothing runs after it; safe twice.
func (c *crew) stop() {
	c.mu.Lock()
	c.mu.closed = true
	for i := range c.mu.shifts {
		if t := c.mu.shifts[i].timer; t != nil {
			t.Stop()
		}
	}
	c.work.Broadcast()
	c.mu.Unlock()
	c.cancel()
	c.group.Wait()
}
