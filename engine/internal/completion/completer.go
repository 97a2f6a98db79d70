package completion

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Store is what a completer asks of Redis. Each call is one attempt, bounded in time, and may be repeated.
type Store interface {
	Done(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error)
	Requeue(ctx context.Context, p int, consumer string, items []lease.Disposition) ([]lease.Outcome, error)
	Restore(ctx context.Context, p int, consumer string, items []lease.Restorable) ([]lease.Outcome, error)
	Pending(ctx context.Context, p int, consumer, after string, count int, idle time.Duration) ([]lease.PendingEntry, error)
	Close(ctx context.Context, p int, consumer string) (left int, err error)
	aheadStore
}

// Sessions are those of the engine, which the completer may end.
type Sessions interface {
	// Reopen has the consumer group of a partition made again before anything else.
	Reopen(partition int)
	// Delivering reports whether a read may still deliver to consumer at now.
	Delivering(partition int, consumer string, now int64) bool
	// Leave takes a session out of its partition if it is there: no further beat is sent for it. It waits for one that is on its
	// way, unless ctx ends first.
	Leave(ctx context.Context, s *lease.Session)
	// Alive reports whether consumer has the session of the partition, and that is not past its deadline.
	Alive(partition int, consumer string) bool
}

// Hooks are what a completer calls when things change. All must be set. None is called with a lock held.
type Hooks struct {
	// Ended is called with a lease whose ending has an outcome, before its owner learns of it: it must be off the table then.
	Ended func(l *lease.Lease)
	// Hold counts bytes of entries that completions hold; less than 0: that they do not hold any more.
	Hold func(partition, bytes int)
	// Delayed is called when an entry was moved to later, with how long it is until it is due.
	Delayed func(partition int, d time.Duration)
	// Unsaved is called when the end of a lease went through without its checkpoint, with the reason.
	Unsaved func(partition int, err error)
	// Progress is called when there may be room for more.
	Progress func()
	// Tampered is called when an entry of a partition was acknowledged, deleted or trimmed by somebody else.
	Tampered func(partition int)
}

// Config is what a completer works with. All fields must be set.
type Config struct {
	Layout  *cluster.Layout
	Clock   lease.Clock
	Log     *sumlog.Logger
	Metrics *metrics.Metrics
	Random  func() float64 // in [0, 1)

	Policy   scan.Config                      // retries and their delays
	Retry    time.Duration                    // after the first failure
	Backoff  func(failures int) time.Duration // after so many consecutive failures
	Draining func() bool                      // whether the engine drains

	Lane        func(partition int) int // the master that a partition is on
	MaxInFlight int                     // calls at a time for each master
	MaxMoves    int                     // entries a call
	Backlog     int                     // completions under way in a partition above which KeepUp waits
}

// Completer completes entries: those whose ownership users or the engine end, and those that were read and cannot be
// owned. It retries until Redis answers; an unknown outcome is asked for again. Completions of a partition travel in batches that
// form while the batch before them is on its way.
type Completer struct {
	cfg      Config
	store    Store
	sessions Sessions
	hooks    Hooks
	work     *workqueue.Queue

	mu struct {
		sync.Mutex
		queues   []queue // by partition
		retiring [][]*retirement
		entries  map[entryKey]struct{} // that a completion is under way for
		failed   []int                 // consecutive attempts, by partition
		retryAt  []int64               // not before then
		expect   []int                 // completions likely to wait when the next batch goes out, by partition
		fresh    []int                 // completions under way that were never refused, by partition
		unowned  []int                 // completions under way that were refused and that no owner waits for, by partition
		pages    []lease.PageSize      // completions a call, by partition
		again    []lease.PageSize      // the same for those that were refused: they make no other calls smaller
		closed   bool                  // nothing more is accepted
		stopped  bool                  // nothing is in the queues any more, nor put back
	}
	notHandedBack atomic.Int64 // streams handed back in the drain for which nothing moved
	handedBack    atomic.Int64 // streams that Redis has taken back, at any time

	settled cond.Cond // something was settled
	queued  cond.Cond // a completion was queued
}

// entryKey names an entry of the service.
type entryKey struct {
	partition int
	id        string
}

// New makes a completer whose goroutines end with ctx or Stop.
func New(ctx context.Context, cfg Config, store Store, sessions Sessions, hooks Hooks) *Completer {
	c := &Completer{cfg: cfg, store: store, sessions: sessions, hooks: hooks}
	n := cfg.Layout.Partitions()
	c.mu.queues = make([]queue, n)
	c.mu.retiring = make([][]*retirement, n)
	c.mu.failed = make([]int, n)
	c.mu.retryAt = make([]int64, n)
	c.mu.expect = make([]int, n)
	c.mu.fresh = make([]int, n)
	c.mu.unowned = make([]int, n)
	c.mu.pages = make([]lease.PageSize, n)
	c.mu.again = make([]lease.PageSize, n)
	for p := range c.mu.pages {
		c.mu.pages[p] = lease.NewPageSize(cfg.MaxMoves)
		c.mu.again[p] = c.mu.pages[p]
	}
	c.mu.entries = make(map[entryKey]struct{})
	c.work = workqueue.New(ctx, n, cfg.MaxInFlight, cfg.Lane, c.run)
	return c
}

// run completes what is queued for one partition, then goes on with the sessions that retire there.
func (c *Completer) run(ctx context.Context, partition int) time.Duration {
	c.mu.Lock()
	early := c.mu.retryAt[partition] - c.cfg.Clock.Now()
	c.mu.Unlock()
	if early > 0 {
		// Woken by a new completion while Redis does not answer.
		return time.Duration(early)
	}
	for {
		c.gather(ctx, partition)
		batch := c.take(partition)
		if len(batch) == 0 {
			break
		}
		err := c.send(ctx, partition, batch)
		c.hooks.Progress() // there may be room for what is read
		if err != nil {
			return c.failing(ctx, partition, err)
		}
		c.mu.Lock()
		c.mu.failed[partition] = 0
		c.mu.Unlock()
	}
	return workqueue.Sooner(c.retireAll(ctx, partition), c.nextRefused(partition))
}

// nextRefused is the delay until a completion that was refused is retried.
func (c *Completer) nextRefused(partition int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, some := c.mu.queues[partition].refusedAt()
	if !some {
		return workqueue.Idle
	}
	return time.Duration(max(0, at-c.cfg.Clock.Now()))
}

// linger is how long a small batch waits at most for more when the one before it had several: who called in parallel
// then is likely to call again.
const linger = time.Millisecond

// gather waits, for no longer than linger, until as many completions wait as are likely to: those of the callers that the batch
// before them released, and those that had queued up behind it. Without that the callers split into two halves which take
// turns for ever.
func (c *Completer) gather(ctx context.Context, partition int) {
	enough := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.mu.queues[partition].fresh.len() >= c.mu.expect[partition]
	}
	if enough() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, linger)
	defer cancel()
	c.queued.Wait(ctx, enough)
}

// Expect has the next call for a partition gather one completion more, as gather does: its caller was asked for it just now, with others.
func (c *Completer) Expect(partition int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.expect[partition] = min(c.mu.expect[partition]+1, c.cfg.MaxMoves)
}

// take takes what travels in the next call.
func (c *Completer) take(partition int) []completion {
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.expect[partition] = 0
	return c.mu.queues[partition].take(now, c.mu.pages[partition].Size(), c.mu.again[partition].Size())
}

// pageLocked is how many completions go into calls like that of a batch.
func (c *Completer) pageLocked(partition int, batch []completion) *lease.PageSize {
	if batch[0].refused > 0 {
		return &c.mu.again[partition]
	}
	return &c.mu.pages[partition]
}

// Stop ends all completions that are open with an error. Nothing is sent after it. It waits for the calls on their way, which it
// cancels, but no longer than until ctx ends, and reports whether they have returned. What a call that has not is about is ended when
// it does.
func (c *Completer) Stop(ctx context.Context) bool {
	c.mu.Lock()
	c.mu.closed = true
	c.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		c.work.Stop()
		close(stopped)
	}()
	returned := true
	select {
	case <-stopped:
	case <-ctx.Done():
		returned = false
	}
	c.mu.Lock()
	c.mu.stopped = true
	left := c.mu.queues
	c.mu.queues = make([]queue, len(left))
	c.mu.Unlock()
	for p := range left {
		for x := range left[p].all {
			c.settle(p, *x, errStopped)
		}
	}
	return returned
}

// errStopped is the outcome of what was not completed before the completer stopped.
var errStopped = fmt.Errorf("%w before Redis answered", api.ErrClosed)

// Regroup must be called when partitions have changed masters.
func (c *Completer) Regroup() { c.work.Regroup() }
