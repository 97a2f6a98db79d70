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
	// hintsKept is how many hints wait for a handler. More are dropped.
	hintsKept = 256
	// hintWorkers is how many workers there are for each handler of a hint, of which there is one at least.
	hintWorkers = 8
	// ownKept is how many streams of its own a process remembers, twice.
	ownKept = 1 << 16
	// ownLate is how late a server may report that a key has expired.
	ownLate = time.Minute
)

// hints passes expired leases of others on to the user.
//
// Anybody may report what they like, and as fast as they like: PUBLISH on the channel is enough. So hints have a lane of
// their own, a dispatcher with a few workers that nothing else uses, and nothing waits for it: not reading, nor an acquisition
// or any other notification, of the same stream either. It is bounded, and a stream is in it once.
//
// A subscription that is made later than the first ones missed what came before it. That is counted and reported
// (api.EventHintsMissed) and has no other effect: recovery does not depend on hints.
type hints struct {
	*env
	table   *lease.Table
	lane    *dispatch.Dispatcher
	watcher *expiry.Watcher
	open    atomic.Int32 // notifications in the lane
	own     ownStreams
}

// hintsConfig is what hints work with. All are set.
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

// lost notes that this process has lost a stream, whose lease may be reported as expired.
func (h *hints) lost(stream string) {
	if h != nil {
		h.own.add(stream, time.Now())
	}
}

// handled is called when a notification was handled.
func (h *hints) handled() { h.open.Add(-1) }

// stop drops what waits and waits for the handlers that run, until ctx ends. Nothing is delivered afterwards.
func (h *hints) stop(ctx context.Context) error {
	if h == nil {
		return nil
	}
	return h.lane.Stop(ctx)
}

// pass hands one report to the user.
func (h *hints) pass(stream string) {
	result := metrics.HintDropped
	switch {
	case h.open.Load() >= hintsKept: // first, since it costs least: nobody else adds to it
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

// subscription counts what became of a subscription, and reports that hints were missed. Only the user can know what they were good
// for.
func (h *hints) subscription(address string, what expiry.Subscription, missed bool) {
	h.metrics.Inc(metrics.Subscriptions.With(what))
	if missed {
		h.event(api.EventHintsMissed, api.NoPartition, nil, address)
	}
}

// ownStreams are the streams that were lost in the last span, or a little longer ago. Safe for several goroutines.
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

// turnLocked forgets what is old.
func (o *ownStreams) turnLocked(at time.Time) {
	switch age := at.Sub(o.mu.since); {
	case age < o.span:
	case age < 2*o.span:
		o.mu.before, o.mu.now, o.mu.since = o.mu.now, nil, at
	default:
		o.mu.before, o.mu.now, o.mu.since = nil, nil, at
	}
}
