package engine

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/virtual"
)

// harness is a fakeServer and the engines on it, in a bubble of virtual time. It holds G1 against every lease that the
// server grants: at that moment no engine may believe in an older lease of the stream.
type harness struct {
	t      *testing.T
	server *fakeServer
	layout *cluster.Layout

	mu       sync.Mutex
	engines  []*testEngine
	overlaps []string
}

// testEngine is an engine on a fakeStore, and what its handler was told.
type testEngine struct {
	*Engine
	h        *harness
	fake     *fakeStore
	registry *prometheus.Registry
	ended    chan struct{} // closed when Run has returned
	err      error         // of Run
	stop     context.CancelFunc

	// handler is called after a notification was recorded; nil: nil is returned.
	handler api.HandlerFunc

	mu            sync.Mutex
	notifications []received
	emitted       []api.Event
	logs          bytes.Buffer
}

// received is a notification and when it came.
type received struct {
	api.Notification
	at   time.Time
	left time.Duration // Remaining of the lease at that moment
}

// bubble runs a test in virtual time, with that many partitions.
func bubble(t *testing.T, partitions int, f func(t *testing.T, h *harness)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		layout, err := cluster.NewLayout("svc", partitions)
		require.NoError(t, err)
		h := &harness{t: t, layout: layout, server: newFakeServer(layout)}
		h.server.granted = h.check
		defer func() {
			for _, e := range h.engines {
				e.halt()
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			require.Empty(t, h.overlaps, "G1: two owners")
		}()
		f(t, h)
	})
}

// check runs at the moment at which the server grants a lease.
func (h *harness) check(partition int, consumer, entry, stream string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.engines {
		l := e.table.Get(stream)
		if l == nil || l.Remaining() == 0 {
			continue
		}
		if l.Session().Consumer() == consumer && l.Entry() == entry {
			continue // an answer of its own that was lost
		}
		h.overlaps = append(h.overlaps, fmt.Sprintf("%s: entry %s granted to %s while %s believes in %s for %v",
			stream, entry, consumer, l.Session().Consumer(), l.Entry(), l.Remaining()))
	}
}

// newEngine makes an engine that is not started.
func (h *harness) newEngine(opts ...Option) *testEngine {
	h.t.Helper()
	e := &testEngine{h: h, ended: make(chan struct{}), registry: prometheus.NewRegistry()}
	base := []Option{
		WithConsumerID("host"), WithPartitions(h.layout.Partitions()), WithRegisterer(e.registry),
		WithLogger(slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelInfo}))),
		WithEvents(func(v api.Event) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.emitted = append(e.emitted, v)
		}),
	}
	cfg, layout, err := resolve("svc", append(base, opts...))
	require.NoError(h.t, err)
	e.Engine = &Engine{env: env{cfg: cfg}, layout: layout}
	seed := rand.New(rand.NewPCG(1, uint64(len(h.engines))))
	var mu sync.Mutex
	e.draw = func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return seed.Float64()
	}
	require.NoError(h.t, e.build("svc", nil, nil))
	e.fake = &fakeStore{server: h.server, every: cfg.recovery.Interval, set: lease.Settings{
		LeaseTTL: cfg.leaseTTL, SessionTTL: cfg.sessionTTL, Gap: cfg.gap, Settle: cfg.settle, Timeout: cfg.timeout,
	}}
	e.store, e.scan = e.fake, fakeScan{e.fake}
	h.mu.Lock()
	h.engines = append(h.engines, e)
	h.mu.Unlock()
	return e
}

// start makes an engine and has it run, with handler after each notification was recorded.
func (h *harness) start(handler api.HandlerFunc, opts ...Option) *testEngine {
	h.t.Helper()
	e := h.newEngine(opts...)
	e.handler = handler
	e.startWith(func(ctx context.Context) error { return e.Run(ctx, e) })
	synctest.Wait()
	return e
}

// startWith has f run the engine.
func (e *testEngine) startWith(f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	go func() {
		defer close(e.ended)
		e.err = f(ctx)
	}()
}

// halt ends an engine whatever state it is in.
func (e *testEngine) halt() {
	e.fake.setFault(nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = e.Shutdown(ctx)
	if e.stop != nil {
		e.stop()
		<-e.ended
	}
}

// shutdownAndWait shuts the engine down and returns what Shutdown and Run did.
func (e *testEngine) shutdownAndWait() (shutdown, run error) {
	shutdown = e.Shutdown(context.Background())
	<-e.ended
	return shutdown, e.err
}

// Write is the log.
func (e *testEngine) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logs.Write(p)
}

func (e *testEngine) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logs.String()
}

// Handle records.
func (e *testEngine) Handle(ctx context.Context, n api.Notification) error {
	x := received{Notification: n, at: time.Now()}
	if n.Lease != nil {
		x.left = n.Lease.Remaining()
	}
	e.mu.Lock()
	e.notifications = append(e.notifications, x)
	e.mu.Unlock()
	if e.handler != nil {
		return e.handler(ctx, n)
	}
	return nil
}

// notified is what was told of a kind, in order.
func (e *testEngine) notified(kind api.Kind) (out []received) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.notifications {
		if x.Kind == kind {
			out = append(out, x)
		}
	}
	return out
}

// kinds is the names of what was told of a stream, in order.
func (e *testEngine) kinds(stream string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, x := range e.notifications {
		if x.Stream == stream && x.Kind != api.Terminated {
			out = append(out, x.Kind.String())
		}
	}
	return strings.Join(out, " ")
}

// events is the kinds of events that were told.
func (e *testEngine) events() (out []api.EventKind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.emitted {
		out = append(out, v.Kind)
	}
	return out
}

// held is the engine's lease of a stream.
func (e *testEngine) held(stream string) *lease.Lease {
	e.h.t.Helper()
	l := e.table.Get(stream)
	require.NotNil(e.h.t, l, "%s is not held", stream)
	require.Positive(e.h.t, l.Remaining())
	return l
}

// session is the live session of a partition.
func (e *testEngine) session(partition int) *lease.Session {
	e.h.t.Helper()
	s, _ := e.partitions[partition].view()
	require.NotNil(e.h.t, s)
	require.Positive(e.h.t, s.Remaining())
	return s
}

// streams is n names.
func streams(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("s%05d", i)
	}
	return out
}

// streamIn is the i-th name that belongs to a partition.
func (h *harness) streamIn(partition, i int) string {
	for k := 0; ; k++ {
		name := fmt.Sprintf("p%d", k)
		if h.layout.Of(name) != partition {
			continue
		}
		if i == 0 {
			return name
		}
		i--
	}
}

// advance lets virtual time pass, and everything that follows from it happen.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// count is how many calls are of one of the kinds.
func countCalls(calls []fakeCall, ops ...string) (n int) {
	for _, c := range calls {
		if slices.Contains(ops, c.op) {
			n++
		}
	}
	return n
}

// perSecond is the most calls of the kinds that started within one second.
func mostPerSecond(calls []fakeCall, ops ...string) (most int) {
	var times []time.Time
	for _, c := range calls {
		if slices.Contains(ops, c.op) {
			times = append(times, c.at)
		}
	}
	first := 0
	for i, at := range times {
		for at.Sub(times[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
