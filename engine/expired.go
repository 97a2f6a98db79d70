package engine

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

const (
	// hintsKept is how many reports wait for the goroutine of hints, and at most for a worker. More are dropped.
	hintsKept = 256
	// hintsLook is how often subscriptions are compared with the servers there are.
	hintsLook = 2 * time.Second
	// ownKept is how many streams of its own a process remembers, twice.
	ownKept = 1 << 16
	// ownLate is how late a server may report that a key has expired.
	ownLate = time.Minute
)

// hintResults are what becomes of a report.
var hintResults = [...]string{hintDelivered: "delivered", hintOwn: "own", hintDropped: "dropped"}

const (
	hintDelivered = iota
	hintOwn
	hintDropped
)

// hints passes expired leases of others on to the user. It subscribes to every server that the client knows, replicas
// included, which report nothing until they are promoted; each subscription has a connection of its own, so that what
// comes there holds up nothing else. Its one goroutine runs loop.
type hints struct {
	e        *Engine
	prefixes map[string]struct{} // of lease keys
	reports  chan string         // streams; filled by the connections
	open     atomic.Int32        // notifications on their way to handlers
	most     int32
	own      ownStreams

	// Of the goroutine.
	subscriptions map[string]*subscription // by address
	told          map[string]bool          // what the log was told
}

type subscription struct {
	client rueidis.DedicatedClient
	free   func()
	ended  <-chan error
}

func newHints(e *Engine) *hints {
	h := &hints{
		e: e, prefixes: make(map[string]struct{}), reports: make(chan string, hintsKept),
		// Reading pauses while much waits for workers; hints must not be what waits.
		most:          int32(min(hintsKept, e.cfg.readBatch)),
		subscriptions: make(map[string]*subscription), told: make(map[string]bool),
	}
	h.own.span = 2*e.cfg.leaseTTL + ownLate
	for p := range e.layout.Partitions() {
		h.prefixes[e.layout.Keys(p).LeasePrefix()] = struct{}{}
	}
	return h
}

// lost notes that this process has lost a stream, whose lease may be reported as expired.
func (h *hints) lost(stream string) {
	if h != nil {
		h.own.add(stream, time.Now())
	}
}

// handled is called when a notification was handled.
func (h *hints) handled() { h.open.Add(-1) }

// loop runs until ctx ends.
func (h *hints) loop(ctx context.Context) {
	defer func() {
		for _, s := range h.subscriptions {
			s.close()
		}
	}()
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
	case h.e.table.Get(stream) != nil || h.own.has(stream, time.Now()):
		result = hintOwn
	case h.open.Add(1) > h.most:
		h.open.Add(-1)
	case h.e.courier.post(api.Notification{Kind: api.Expired, Stream: stream}):
		result = hintDelivered
	}
	h.e.metrics.expirations[result].Inc()
}

// look subscribes where there is no subscription that works, and ends those to servers that are gone.
func (h *hints) look(ctx context.Context) {
	nodes := h.e.client.Nodes()
	stale := h.e.maintenance.stale.Swap(false)
	for address, s := range h.subscriptions {
		if stale || nodes[address] == nil || !h.alive(ctx, s) {
			s.close()
			delete(h.subscriptions, address)
		}
	}
	for address, node := range nodes {
		if ctx.Err() != nil || h.subscriptions[address] != nil {
			continue
		}
		s, err := h.subscribe(ctx, node)
		if err != nil {
			if ctx.Err() == nil {
				h.once("expiry notifications: subscribing fails; it is tried again", "server", address, "err", lease.Explain(err))
			}
			continue
		}
		h.subscriptions[address] = s
		h.e.metrics.subscribed.Inc()
	}
}

// alive asks over the connection itself: a subscription that is cut off in silence ends in nothing.
func (h *hints) alive(ctx context.Context, s *subscription) bool {
	select {
	case <-s.ended:
		return false
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, h.e.cfg.timeout)
	defer cancel()
	return s.client.Do(ctx, s.client.B().Ping().Build()).Error() == nil
}

func (h *hints) subscribe(ctx context.Context, node rueidis.Client) (*subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, h.e.cfg.timeout)
	defer cancel()
	client, free := node.Dedicate()
	s := &subscription{client: client, free: free}
	flags, known := h.flags(ctx, client)
	pattern := cluster.ExpiredPattern(h.e.layout.Service(), flags, known)
	// Called on the connection's own goroutine: hand off at once.
	s.ended = client.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: h.report})
	if err := client.Do(ctx, client.B().Psubscribe().Pattern(pattern).Build()).Error(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *subscription) close() {
	s.client.Close()
	s.free()
}

// report takes what a server sends.
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

// stream is the one that a lease key of the service is about.
func (h *hints) stream(key string) (name string, ours bool) {
	const end = "}:lease:"
	i := strings.Index(key, end)
	if i < 0 {
		return "", false
	}
	i += len(end)
	_, ours = h.prefixes[key[:i]]
	return key[i:], ours && key[i:] != ""
}

// once tells the log something that is not told again.
func (h *hints) once(message string, args ...any) {
	if !h.told[message] {
		h.told[message] = true
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
