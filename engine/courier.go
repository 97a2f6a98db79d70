package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"

	"github.com/streamlease/streamlease/api"
)

// courierConfig says what a courier does with a notification. The callbacks are called without locks held and may
// post; none of them may wait for a later notification of its own stream, which does not start before it returns.
type courierConfig struct {
	// Workers is how many Deliver calls run at a time, at least 1.
	Workers int

	// Deliver handles one notification on a worker. It must have done called exactly once, before or after it
	// returns, from any goroutine; calls after the first are ignored, however late they come. The stream's next
	// notification starts when Deliver has returned and done was called. A panic becomes the error of the
	// notification (*api.PanicError; joined with what done was given, if it was called before).
	Deliver func(n api.Notification, done func(error))

	// Finished is told how a delivery ended and how long it took, from the start of Deliver to done, before the
	// next one of the stream starts. Nil: nobody is told.
	Finished func(n api.Notification, err error, took time.Duration)

	// Idle is told that nothing is outstanding for stream any more; what is posted for it from then on starts
	// after Idle has returned. It is not told of what stop dropped before it started. Nil: nobody is told.
	Idle func(stream string)
}

// workerExpiry is how long an idle worker keeps its goroutine.
const workerExpiry = 10 * time.Second

// shrinkAbove is the number of mailboxes above which the map is made anew once it is empty: a Go map keeps the
// room of the most entries that it ever had.
const shrinkAbove = 1024

// courier delivers notifications: those of one stream one at a time and in the order of their posts, those of
// different streams in parallel. A stream has a mailbox only while something is outstanding for it.
//
// Mailboxes with something to deliver queue up in ready; a worker takes the first, delivers one notification, and
// puts the mailbox behind the others if it holds more. Workers go on until ready is empty, so a goroutine is asked
// of the pool only where too few are at work, and one at a time: each worker that starts calls for the next one if
// there is work left for it. Hence the invariant: while ready is not empty, all workers are at work or one is
// starting.
type courier struct {
	cfg   courierConfig
	pool  *ants.PoolWithFuncGeneric[struct{}]
	epoch time.Time // times inside are durations since then: one clock read of half the cost, and monotonic

	// boxes of streams that are done with, for reuse; their seq goes on counting.
	spare sync.Pool

	mu       sync.Mutex
	boxes    map[string]*mailbox // guarded by mu, as all below
	most     int                 // most entries in boxes since it was made
	ready    mailboxList         // first to be delivered first
	runs     mailboxList         // being delivered, the longest first
	waiting  int                 // notifications in the backlogs of boxes
	active   int                 // workers at work or starting
	starting bool                // one of them has not taken its first mailbox yet
	stopping bool
	lost     int           // notifications dropped by stop
	emptied  chan struct{} // closed when boxes becomes empty; nil while nobody waits
}

func newCourier(cfg courierConfig) (*courier, error) {
	if cfg.Workers < 1 {
		return nil, fmt.Errorf("%w: Workers is %d, must be at least 1", api.ErrInvalidConfig, cfg.Workers)
	}
	if cfg.Deliver == nil {
		return nil, fmt.Errorf("%w: the courier has no Deliver", api.ErrInvalidConfig)
	}
	c := &courier{cfg: cfg, epoch: time.Now(), boxes: make(map[string]*mailbox)}
	c.spare.New = func() any { return new(mailbox) }

	// One goroutine more than workers: it makes room for the next worker while the last one is between leaving
	// work and being idle for the pool. start says why that is enough.
	pool, err := ants.NewPoolWithFuncGeneric(cfg.Workers+1, c.work,
		ants.WithNonblocking(true),
		ants.WithExpiryDuration(workerExpiry),
		// What Deliver panics with is caught in deliver. Any other panic is a fault in this program,
		// which the pool would log and forget.
		ants.WithPanicHandler(func(v any) { panic(v) }))
	if err != nil {
		return nil, fmt.Errorf("engine: worker pool: %w", err)
	}
	c.pool = pool
	return c, nil
}

// post queues n for its stream ("" is a stream like others) and returns at once. After stop it drops n and says false.
func (c *courier) post(n api.Notification) bool {
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		return false
	}
	b := c.boxes[n.Stream]
	if b == nil {
		b = c.spare.Get().(*mailbox)
		b.stream = n.Stream
		c.boxes[n.Stream] = b
		c.most = max(c.most, len(c.boxes))
	}
	b.backlog.push(n)
	c.waiting++
	if b.phase == boxNew {
		c.readyLocked(b)
	}
	wake := c.wakeLocked()
	c.mu.Unlock()
	if wake {
		c.start()
	}
	return true
}

// busy says whether a notification of stream waits or runs.
func (c *courier) busy(stream string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.boxes[stream]
	return b != nil && (b.phase == boxRunning || b.backlog.len() > 0)
}

// queued is the number of notifications that wait, for a worker or behind another one of their stream.
func (c *courier) queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// behind is the number of streams that wait for a worker: those that one is working for do not count, however much
// waits behind it.
func (c *courier) behind() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready.n
}

// running is the number of notifications that were given to Deliver and are not finished.
func (c *courier) running() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs.n
}

// blocked counts the notifications that have been running for more than d, and names the stream of the longest.
func (c *courier) blocked(now time.Time, d time.Duration) (n int, example string) {
	since := now.Sub(c.epoch)
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := c.runs.head; b != nil && since-b.started > d; b = b.next {
		if n == 0 {
			example = b.stream
		}
		n++
	}
	return n, example
}

// clock is the time since the courier was made.
func (c *courier) clock() time.Duration { return time.Since(c.epoch) }

// readyLocked puts b, which holds something, behind all that are ready.
func (c *courier) readyLocked(b *mailbox) {
	b.phase = boxReady
	c.ready.push(b)
}

// wakeLocked says whether one more worker is wanted. If so it is counted already, and the caller must call start
// after unlocking. Whoever makes a mailbox ready, or takes one and leaves others, has to ask.
func (c *courier) wakeLocked() bool {
	if c.starting || c.ready.n == 0 || c.active >= c.cfg.Workers {
		return false
	}
	c.starting = true
	c.active++
	return true
}

// start gets a worker from the pool. It waits for no handler: of the pool's Workers+1 goroutines at most Workers are
// at work or in start themselves, so when the pool is full, one is on its way from work to being idle or to its end,
// and lacks nothing but the processor.
func (c *courier) start() {
	for {
		err := c.pool.Invoke(struct{}{})
		if err == nil {
			return
		}
		if !errors.Is(err, ants.ErrPoolOverload) {
			break // the pool is closed: stop has emptied ready, nothing needs the worker
		}
		runtime.Gosched()
	}
	c.mu.Lock()
	c.starting = false
	c.active--
	c.mu.Unlock()
}
