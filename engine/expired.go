package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/expiry"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

const (
	// hintsKept is how many hints may wait for a handler. More are dropped.
	hintsKept = 256
	// hintWorkers is the number of WithWorkers for each goroutine that handles hints. There is at least one such goroutine.
	hintWorkers = 8
	// ownKept bounds how many lost streams a process remembers: each of two sets holds up to this many.
	ownKept = 1 << 16
	// ownLate is how late a server may report that a key has expired.
	ownLate = time.Minute
)

// hints notifies the user of expired leases of other processes.
//
// Anybody may report whatever they like, as fast as they like: PUBLISH on the channel is enough. So hints have a lane of their
// own: a dispatcher with a few workers that nothing else uses. Nothing waits for it, neither reading nor an acquisition nor any
// other notification, not even of the same stream. It is bounded, and holds a stream once.
//
// A subscription that is made after the first ones missed what came before it. That is counted and reported
// (api.EventHintsMissed) and has no other effect: recovery does not depend on hints.
type hints struct {
	*env
	table   *lease.Table
	lane    *dispatch.Dispatcher
	watcher *expiry.Watcher
	open    atomic.Int32 // notifications in the lane
	own     ownStreams
}

// hintsConfig is what hints need. All are set.
type hintsConfig struct {
	layout   *cluster.Layout
	table    *lease.Table
	nodes    func() map[string]rueidis.Client
	stale    func() bool // see expiry.Config
	deliver  func(n api.Notification, done func(error))
	finished func(n api.Notification, err error, took time.Duration)
}

func newHints(e *env, c hintsConfig) (*hints, error) {
	h := &hints{env: e, table: c.table}
	h.own.span = 2*e.cfg.leaseTTL + ownLate
	h.watcher = expiry.New(expiry.Config{
		Layout:  c.layout,
		Nodes:   c.nodes,
		Stale:   c.stale,
		Set:     e.cfg.setEvents,
		Timeout: e.cfg.timeout,
		Backoff: e.backoff,
	}, expiry.Hooks{
		Expired:      h.pass,
		Dropped:      func() { h.count(metrics.HintDropped) },
		Subscription: h.subscription,
		Warn: func(message string, err error, args ...any) {
			if err != nil {
				args = append(args, "err", lease.Explain(err))
			}
			e.log.Warn(message, 1, args...)
		},
	})
	var err error
	h.lane, err = dispatch.New(dispatch.Config{
		Workers:  max(1, e.cfg.workers/hintWorkers),
		Deliver:  c.deliver,
		Finished: c.finished,
	})
	return h, err
}

// lost records that this process has lost a stream, whose lease may be reported as expired.
func (h *hints) lost(stream string) {
	if h != nil {
		h.own.add(stream, time.Now())
	}
}

// handled is called when a hint has been handled.
func (h *hints) handled() { h.open.Add(-1) }

// stop drops the hints that wait and waits for running handlers, until ctx ends. Nothing is delivered afterwards.
func (h *hints) stop(ctx context.Context) error {
	if h == nil {
		return nil
	}
	return h.lane.Stop(ctx)
}

// pass delivers one report to the user, unless the stream was this process's own or there is no room.
func (h *hints) pass(stream string) {
	result := metrics.HintDropped
	switch {
	case h.open.Load() >= hintsKept: // first, since it is the cheapest; nothing else adds to it
	case h.table.Get(stream) != nil || h.own.has(stream, time.Now()):
		result = metrics.HintOwn
	case h.lane.Busy(stream): // one is enough
	default:
		h.open.Add(1)
		if h.lane.Post(api.Notification{Kind: api.Expired, Stream: stream}) {
			result = metrics.HintDelivered
		}
	}
	h.count(result)
}

func (h *hints) count(result metrics.Hint) { h.metrics.Inc(metrics.Expired.With(result)) }

// subscription counts what became of a subscription, and reports that hints were missed. Only the user can know whether that
// matters.
func (h *hints) subscription(address string, what expiry.Subscription, missed bool) {
	h.metrics.Inc(metrics.Subscriptions.With(what))
	if missed {
		h.event(api.EventHintsMissed, api.NoPartition, nil, address)
	}
}

// ownStreams remembers the streams that were lost within the last span, and some that were lost up to twice as long ago. It is
// safe for concurrent use.
type ownStreams struct {
	span time.Duration

	mu struct {
		sync.Mutex
		since       time.Time // of now
		now, before map[string]struct{}
	}
}

func (o *ownStreams) add(stream string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turnLocked(at)
	if len(o.mu.now) >= ownKept {
		o.mu.before, o.mu.now, o.mu.since = o.mu.now, nil, at
	}
	if o.mu.now == nil {
		o.mu.now = make(map[string]struct{})
	}
	o.mu.now[stream] = struct{}{}
}

func (o *ownStreams) has(stream string, at time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turnLocked(at)
	_, now := o.mu.now[stream]
	_, before := o.mu.before[stream]
	return now || before
}

// turnLocked forgets streams that were lost too long ago.
func (o *ownStreams) turnLocked(at time.Time) {
	switch age := at.Sub(o.mu.since); {
	case age < o.span:
	case age < 2*o.span:
		o.mu.before, o.mu.now, o.mu.since = o.mu.now, nil, at
	default:
		o.mu.before, o.mu.now, o.mu.since = nil, nil, at
	}
}
