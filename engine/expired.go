package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

const (
	// hintsKept is how many reports wait for the goroutine of hints, and how many for a handler. More are dropped.
	hintsKept = 256
	// hintWorkers is how many workers there are for each handler of a hint, of which there is one at least.
	hintWorkers = 8
	// hintsLook is how often subscriptions are compared with the servers there are.
	hintsLook = 2 * time.Second
	// ownKept is how many streams of its own a process remembers, twice.
	ownKept = 1 << 16
	// ownLate is how late a server may report that a key has expired.
	ownLate = time.Minute
)

// subscriptionResults are what becomes of subscriptions.
var subscriptionResults = [...]string{subscriptionMade: "made", subscriptionFailed: "failed", subscriptionLost: "lost"}

const (
	subscriptionMade = iota
	subscriptionFailed
	subscriptionLost
)

var errNodeGone = errors.New("the client does not know the server any more")

// hintResults are what becomes of a report.
var hintResults = [...]string{hintDelivered: "delivered", hintOwn: "own", hintDropped: "dropped"}

const (
	hintDelivered = iota
	hintOwn
	hintDropped
)

// hints passes expired leases of others on to the user. It listens to every server that the client knows, replicas
// included: those report nothing, and are heard from the first moment on when they are promoted, while a master that is
// demoted falls silent. Its goroutine runs loop, and each listener has one.
//
// Anybody may report what they like, and as fast as they like: PUBLISH on the channel is enough. So hints have a lane of
// their own, a courier with a few workers that nothing else uses, and nothing waits for it: not reading, nor an acquisition
// or any other notification, of the same stream either. It is bounded, a stream is in it once, and whatever is no lease of
// the service, or has no room, is dropped before it costs more than a look.
//
// A subscription that is made later than the first ones missed what came before it. That is counted and told
// (api.EventHintsMissed) and has no other effect: recovery does not rest on hints.
type hints struct {
	e        *Engine
	lane     *courier
	prefixes map[string]int // partitions, by what lease keys begin with
	reports  chan string    // streams; filled by the connections
	open     atomic.Int32   // notifications in the lane
	own      ownStreams

	told sync.Map // messages that the log was told once

	// Of the goroutine.
	listeners map[string]*listener // by address
	listening sync.WaitGroup       // listeners
	looked    bool                 // once
}

func newHints(e *Engine, to delivery) (*hints, error) {
	h := &hints{
		e: e, prefixes: make(map[string]int), reports: make(chan string, hintsKept), listeners: make(map[string]*listener),
	}
	h.own.span = 2*e.cfg.leaseTTL + ownLate
	for p := range e.layout.Partitions() {
		h.prefixes[e.layout.Keys(p).LeasePrefix()] = p
	}
	var err error
	h.lane, err = newCourier(courierConfig{
		Workers:  max(1, e.cfg.workers/hintWorkers),
		Deliver:  to.deliver,
		Finished: func(n api.Notification, err error, took time.Duration) { e.delivered(to, n, err, took) },
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
	return h.lane.stop(ctx)
}

// loop runs until ctx ends, and its listeners have.
func (h *hints) loop(ctx context.Context) {
	defer h.listening.Wait()
	tick := time.NewTicker(hintsLook)
	defer tick.Stop()
	h.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.look(ctx)
		case stream := <-h.reports:
			h.pass(stream)
		}
	}
}

// pass tells the user of one report.
func (h *hints) pass(stream string) {
	result := hintDropped
	switch {
	case h.open.Load() >= hintsKept: // first, since it costs least: nobody else adds to it
	case h.e.table.Get(stream) != nil || h.own.has(stream, time.Now()):
		result = hintOwn
	case h.lane.busy(stream): // one is enough
	default:
		h.open.Add(1)
		if h.lane.post(api.Notification{Kind: api.Expired, Stream: stream}) {
			result = hintDelivered
		}
	}
	h.e.metrics.expirations[result].Inc()
}

// look starts a listener for each server that has none, and ends those of servers that are gone.
func (h *hints) look(ctx context.Context) {
	nodes := h.e.client.Nodes()
	stale := h.e.maintenance.stale.Swap(false)
	for address, l := range h.listeners {
		if stale || nodes[address] == nil {
			l.cancel()
			delete(h.listeners, address)
		}
	}
	for address := range nodes {
		if h.listeners[address] != nil {
			continue
		}
		l := &listener{h: h, address: address, late: h.looked}
		h.listeners[address] = l
		ctx, cancel := context.WithCancel(ctx)
		l.cancel = cancel
		h.listening.Go(func() { l.run(ctx) })
	}
	h.looked = true
}

// report takes what a server sends. It runs where the connection is read, and waits for nothing.
func (h *hints) report(m rueidis.PubSubMessage) {
	key := m.Message
	if strings.HasPrefix(m.Channel, keyspaceStart) {
		if m.Message != "expired" {
			return
		}
		_, key, _ = strings.Cut(m.Channel, channelEnd)
	}
	stream, ours := h.stream(key)
	if !ours {
		return
	}
	select {
	case h.reports <- stream:
	default:
		h.e.metrics.expirations[hintDropped].Inc()
	}
}

// stream is the one that a lease key of the service is about. A key that this service would not make is none.
func (h *hints) stream(key string) (name string, ours bool) {
	const end = "}:lease:"
	i := strings.Index(key, end)
	if i < 0 {
		return "", false
	}
	i += len(end)
	p, ours := h.prefixes[key[:i]]
	name = key[i:]
	return name, ours && cluster.ValidateStream(name) == nil && utf8.ValidString(name) && h.e.layout.Of(name) == p
}

// once tells the log something that is not told again.
func (h *hints) once(message string, args ...any) {
	if _, again := h.told.LoadOrStore(message, true); !again {
		h.e.log.warn(message, 1, args...)
	}
}

// ownStreams are the streams that were lost in the last span, or a little longer ago. Safe for several goroutines.
type ownStreams struct {
	span time.Duration

	mu          sync.Mutex
	since       time.Time // of now
	now, before map[string]struct{}
}

func (o *ownStreams) add(stream string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turnLocked(at)
	if len(o.now) >= ownKept {
		o.before, o.now, o.since = o.now, nil, at
	}
	if o.now == nil {
		o.now = make(map[string]struct{})
	}
	o.now[stream] = struct{}{}
}

func (o *ownStreams) has(stream string, at time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turnLocked(at)
	_, now := o.now[stream]
	_, before := o.before[stream]
	return now || before
}

// turnLocked forgets what is old.
func (o *ownStreams) turnLocked(at time.Time) {
	switch age := at.Sub(o.since); {
	case age < o.span:
	case age < 2*o.span:
		o.before, o.now, o.since = o.now, nil, at
	default:
		o.before, o.now, o.since = nil, nil, at
	}
}
