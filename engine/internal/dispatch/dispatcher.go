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

// Config says what a Dispatcher does with a notification. Callbacks run with no lock held and may post. None may wait for a
// later notification of its own stream, which does not start before the callback returns.
type Config struct {
	// Workers is how many Deliver calls run at a time, at least 1.
	Workers int

	// Deliver handles one notification on a worker. It must see to it that done is called, before or after it returns, from any
	// goroutine; calls after the first are ignored, however late they come. The stream's next notification starts when
	// Deliver has returned and done was called. A panic becomes the error of the notification (*api.PanicError, joined
	// with the error that done was called with, if it was called before). So does an end of the goroutine (api.ErrGoexit).
	Deliver func(n api.Notification, done func(error))

	// Finished is called with the error of a delivery and how long it took, from the start of Deliver to done, before the
	// stream's next one starts. Nil: not called.
	Finished func(n api.Notification, err error, took time.Duration)

	// Idle is called when nothing is outstanding for stream any more. What is posted for it from then on starts after Idle
	// has returned. Idle is not called for a stream all of whose notifications Stop dropped. Nil: not called.
	Idle func(stream string)
}

// workerExpiry is how long an idle worker keeps its goroutine.
const workerExpiry = 10 * time.Second

// shrinkAbove is the number of mailboxes above which the map is replaced once it is empty: a Go map keeps the memory of the
// most entries that it ever had.
const shrinkAbove = 1024

// Dispatcher delivers notifications: those of one stream one at a time and in the order of their posts, those of different
// streams in parallel. A stream has a mailbox only while something is outstanding for it. All methods may be called from any
// goroutine.
//
// Mailboxes with something to deliver queue up in ready. A worker takes the first, delivers one notification, and puts the
// mailbox behind the others if it holds more. Workers go on until ready is empty, so the pool is asked for a goroutine only
// when too few are at work, and for one at a time: each worker that starts asks for the next one if there is work left for it.
// Hence the invariant: while ready is not empty, all workers are at work or one is starting.
type Dispatcher struct {
	cfg   Config
	pool  *ants.PoolWithFuncGeneric[struct{}]
	epoch time.Time // times are kept as durations since then: half the cost of time.Now, and monotonic

	// Mailboxes that no stream needs any more, for reuse; their seq goes on counting.
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

// New returns a Dispatcher, which must be stopped. It has no worker until something is posted. Errors match
// api.ErrInvalidConfig where cfg is at fault.
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

	// One goroutine more than workers makes room for the next worker while the last one has left work and does not count as
	// idle in the pool yet. See start for why one is enough.
	pool, err := ants.NewPoolWithFuncGeneric(cfg.Workers+1, d.work,
		ants.WithNonblocking(true),
		ants.WithExpiryDuration(workerExpiry),
		// deliver recovers a panic of Deliver. Any other panic is a bug of this library, which the pool would log and
		// forget.
		ants.WithPanicHandler(func(v any) { panic(v) }))
	if err != nil {
		return nil, fmt.Errorf("engine: worker pool: %w", err)
	}
	d.pool = pool
	return d, nil
}

// Post queues n for its stream ("" is a stream like others) and returns true at once. After Stop it drops n and returns false.
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

// Busy reports whether a notification of stream is queued or running.
func (d *Dispatcher) Busy(stream string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.mu.boxes[stream]
	return b != nil && (b.phase == boxRunning || b.backlog.len() > 0)
}

// Queued returns the number of notifications that wait, for a worker or behind another one of their stream.
func (d *Dispatcher) Queued() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.queued
}

// Waiting returns the number of streams that wait for a worker. A stream with a notification running does not count, however
// many are queued behind that.
func (d *Dispatcher) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.ready.n
}

// Running returns the number of notifications that were passed to Deliver and are not finished.
func (d *Dispatcher) Running() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.runs.n
}

// Blocked returns how many notifications have been running for longer than limit, and the stream of the longest.
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

// clock returns the time since New.
func (d *Dispatcher) clock() time.Duration { return time.Since(d.epoch) }

// readyLocked puts b, which holds something, behind all that are ready.
func (d *Dispatcher) readyLocked(b *mailbox) {
	b.phase = boxReady
	d.mu.ready.push(b)
}

// wakeLocked reports whether one more worker is needed. If so it has counted it already, and the caller must call start after
// unlocking. It must be called whenever a mailbox was made ready, or one was taken and others are left.
func (d *Dispatcher) wakeLocked() bool {
	if d.mu.starting || d.mu.ready.n == 0 || d.mu.active >= d.cfg.Workers {
		return false
	}
	d.mu.starting = true
	d.mu.active++
	return true
}

// start gets a worker from the pool. It never waits for a handler: of the pool's Workers+1 goroutines at most Workers are at
// work or in start themselves. So if the pool is full, one has left work and is about to be idle or to end, and needs nothing
// but CPU time for that.
func (d *Dispatcher) start() {
	for {
		err := d.pool.Invoke(struct{}{})
		if err == nil {
			return
		}
		if !errors.Is(err, ants.ErrPoolOverload) {
			break // the pool is closed: Stop has emptied ready, and no worker is needed
		}
		runtime.Gosched()
	}
	d.mu.Lock()
	d.mu.starting = false
	d.mu.active--
	d.mu.Unlock()
}
