package dispatch

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/panjf2000/ants/v2"

	"github.com/streamlease/streamlease/api"
)

// Config says what a Dispatcher does with a notification. The callbacks are called without locks held and may
// post; none of them may wait for a later notification of its own stream, which does not start before it returns.
type Config struct {
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

// Dispatcher delivers notifications: those of one stream one at a time and in the order of their posts, those of
// different streams in parallel. A stream has a mailbox only while something is outstanding for it.
//
// Mailboxes with something to deliver queue up in ready; a worker takes the first, delivers one notification, and
// puts the mailbox behind the others if it holds more. Workers go on until ready is empty, so a goroutine is asked
// of the pool only where too few are at work, and one at a time: each worker that starts calls for the next one if
// there is work left for it. Hence the invariant: while ready is not empty, all workers are at work or one is
// starting.
type Dispatcher struct {
	cfg   Config
	pool  *ants.PoolWithFuncGeneric[struct{}]
	epoch time.Time // times inside are durations since then: one clock read of half the cost, and monotonic

	// boxes of streams that are done with, for reuse; their seq goes on counting.
	spare sync.Pool

	mu struct {
		sync.Mutex
		boxes    map[string]*mailbox
		most     int         // most entries in boxes since it was made
		ready    mailboxList // first to be delivered first
		runs     mailboxList // being delivered, the longest first
		queued   int         // notifications in the backlogs of boxes
		active   int         // workers at work or starting
		starting bool        // one of them has not taken its first mailbox yet
		stopping bool
		emptied  chan struct{} // closed when boxes becomes empty; nil while nobody waits
	}
}

func New(cfg Config) (*Dispatcher, error) {
	if cfg.Workers < 1 {
		return nil, fmt.Errorf("%w: Workers is %d, must be at least 1", api.ErrInvalidConfig, cfg.Workers)
	}
	if cfg.Deliver == nil {
		return nil, fmt.Errorf("%w: the dispatcher has no Deliver", api.ErrInvalidConfig)
	}
	d := &Dispatcher{cfg: cfg, epoch: time.Now()}
	d.mu.boxes = make(map[string]*mailbox)
	d.spare.New = func() any { return new(mailbox) }

	// One goroutine more than workers: it makes room for the next worker while the last one is between leaving
	// work and being idle for the pool. start says why that is enough.
	pool, err := ants.NewPoolWithFuncGeneric(cfg.Workers+1, d.work,
		ants.WithNonblocking(true),
		ants.WithExpiryDuration(workerExpiry),
		// What Deliver panics with is caught in deliver. Any other panic is a fault in this program,
		// which the pool would log and forget.
		ants.WithPanicHandler(func(v any) { panic(v) }))
	if err != nil {
		return nil, fmt.Errorf("engine: worker pool: %w", err)
	}
	d.pool = pool
	return d, nil
}

// Post queues n for its stream ("" is a stream like others) and returns at once. After stop it drops n and says false.
func (d *Dispatcher) Post(n api.Notification) bool {
	d.mu.Lock()
	if d.mu.stopping {
		d.mu.Unlock()
		return false
	}
	b := d.mu.boxes[n.Stream]
	if b == nil {
		b = d.spare.Get().(*mailbox)
		b.stream = n.Stream
		d.mu.boxes[n.Stream] = b
		d.mu.most = max(d.mu.most, len(d.mu.boxes))
	}
	b.backlog.push(n)
	d.mu.queued++
	if b.phase == boxNew {
		d.readyLocked(b)
	}
	wake := d.wakeLocked()
	d.mu.Unlock()
	if wake {
		d.start()
	}
	return true
}

// Busy says whether a notification of stream waits or runs.
func (d *Dispatcher) Busy(stream string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.mu.boxes[stream]
	return b != nil && (b.phase == boxRunning || b.backlog.len() > 0)
}

// Queued is the number of notifications that wait, for a worker or behind another one of their stream.
func (d *Dispatcher) Queued() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.queued
}

// Waiting is the number of streams that wait for a worker: those that one is working for do not count, however much
// waits behind it.
func (d *Dispatcher) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.ready.n
}

// Running is the number of notifications that were given to Deliver and are not finished.
func (d *Dispatcher) Running() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.runs.n
}

// Blocked counts the notifications that have been running for longer than limit, and names the stream of the longest.
func (d *Dispatcher) Blocked(now time.Time, limit time.Duration) (n int, example string) {
	since := now.Sub(d.epoch)
	d.mu.Lock()
	defer d.mu.Unlock()
	for b := d.mu.runs.head; b != nil && since-b.started > limit; b = b.next {
		if n == 0 {
			example = b.stream
		}
		n++
	}
	return n, example
}

// clock is the time since the dispatcher was made.
func (d *Dispatcher) clock() time.Duration { return time.Since(d.epoch) }

// readyLocked puts b, which holds something, behind all that are ready.
func (d *Dispatcher) readyLocked(b *mailbox) {
	b.phase = boxReady
	d.mu.ready.push(b)
}

// wakeLocked says whether one more worker is wanted. If so it is counted already, and the caller must call start
// after unlocking. Whoever makes a mailbox ready, or takes one and leaves others, has to ask.
func (d *Dispatcher) wakeLocked() bool {
	if d.mu.starting || d.mu.ready.n == 0 || d.mu.active >= d.cfg.Workers {
		return false
	}
	d.mu.starting = true
	d.mu.active++
	return true
}

// start gets a worker from the pool. It waits for no handler: of the pool's Workers+1 goroutines at most Workers are
// at work or in start themselves, so when the pool is full, one is on its way from work to being idle or to its end,
// and lacks nothing but the processor.
func (d *Dispatcher) start() {
	for {
		err := d.pool.Invoke(struct{}{})
		if err == nil {
			return
		}
		if !errors.Is(err, ants.ErrPoolOverload) {
			break // the pool is closed: stop has emptied ready, nothing needs the worker
		}
		runtime.Gosched()
	}
	d.mu.Lock()
	d.mu.starting = false
	d.mu.active--
	d.mu.Unlock()
}
