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

// world is a fakeServer and the engines on it, in a bubble of virtual time. It holds G1 against every lease that the
// server grants: at that moment no engine may believe in an older lease of the stream.
type world struct {
	t      *testing.T
	server *fakeServer
	layout *cluster.Layout

	mu       sync.Mutex
	engines  []*fakeEngine
	overlaps []string
}

// fakeEngine is an engine on a fakeStore, and what its handler was told.
type fakeEngine struct {
	*Engine
	w        *world
	fake     *fakeStore
	registry *prometheus.Registry
	ended    chan struct{} // closed when Run has returned
	err      error         // of Run
	stop     context.CancelFunc

	// handler is called after a notification was recorded; nil: nil is returned.
	handler api.HandlerFunc

	mu    sync.Mutex
	told  []told
	facts []api.Event
	logs  bytes.Buffer
}

// told is a notification and when it came.
type told struct {
	api.Notification
	at   time.Time
	left time.Duration // Remaining of the lease at that moment
}

// bubble runs a test in virtual time, with that many partitions.
func bubble(t *testing.T, partitions int, f func(t *testing.T, w *world)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		layout, err := cluster.NewLayout("svc", partitions)
		require.NoError(t, err)
		w := &world{t: t, layout: layout, server: newFakeServer(layout)}
		w.server.granted = w.check
		defer func() {
			for _, e := range w.engines {
				e.halt()
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			require.Empty(t, w.overlaps, "G1: two owners")
		}()
		f(t, w)
	})
}

// check runs at the moment at which the server grants a lease.
func (w *world) check(partition int, consumer, entry, stream string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.engines {
		l := e.table.Get(stream)
		if l == nil || l.Remaining() == 0 {
			continue
		}
		if l.Session().Consumer() == consumer && l.Entry() == entry {
			continue // an answer of its own that was lost
		}
		w.overlaps = append(w.overlaps, fmt.Sprintf("%s: entry %s granted to %s while %s believes in %s for %v",
			stream, entry, consumer, l.Session().Consumer(), l.Entry(), l.Remaining()))
	}
}

// newEngine makes an engine that is not started.
func (w *world) newEngine(opts ...Option) *fakeEngine {
	w.t.Helper()
	e := &fakeEngine{w: w, ended: make(chan struct{}), registry: prometheus.NewRegistry()}
	base := []Option{
		WithConsumerID("host"), WithPartitions(w.layout.Partitions()), WithRegisterer(e.registry),
		WithLogger(slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelInfo}))),
		WithEvents(func(v api.Event) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.facts = append(e.facts, v)
		}),
	}
	cfg, layout, err := resolve("svc", append(base, opts...))
	require.NoError(w.t, err)
	e.Engine = &Engine{env: env{cfg: cfg}, layout: layout}
	seed := rand.New(rand.NewPCG(1, uint64(len(w.engines))))
	var mu sync.Mutex
	e.draw = func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return seed.Float64()
	}
	require.NoError(w.t, e.build("svc", nil, nil))
	e.fake = &fakeStore{server: w.server, every: cfg.recovery.Interval, set: lease.Settings{
		LeaseTTL: cfg.leaseTTL, SessionTTL: cfg.sessionTTL, Gap: cfg.gap, Settle: cfg.settle, Timeout: cfg.timeout,
	}}
	e.store, e.scan = e.fake, fakeScan{e.fake}
	w.mu.Lock()
	w.engines = append(w.engines, e)
	w.mu.Unlock()
	return e
}

// start makes an engine and has it run, with h as its handler after each notification was recorded.
func (w *world) start(h api.HandlerFunc, opts ...Option) *fakeEngine {
	w.t.Helper()
	e := w.newEngine(opts...)
	e.handler = h
	e.run1(func(ctx context.Context) error { return e.Run(ctx, e) })
	synctest.Wait()
	return e
}

// run1 has f run the engine.
func (e *fakeEngine) run1(f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	go func() {
		defer close(e.ended)
		e.err = f(ctx)
	}()
}

// halt ends an engine whatever state it is in.
func (e *fakeEngine) halt() {
	e.fake.setFault(nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = e.Shutdown(ctx)
	if e.stop != nil {
		e.stop()
		<-e.ended
	}
}

// drained shuts the engine down and returns what Shutdown and Run did.
func (e *fakeEngine) drained() (shutdown, run error) {
	shutdown = e.Shutdown(context.Background())
	<-e.ended
	return shutdown, e.err
}

// Write is the log.
func (e *fakeEngine) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logs.Write(p)
}

func (e *fakeEngine) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logs.String()
}

// Handle records.
func (e *fakeEngine) Handle(ctx context.Context, n api.Notification) error {
	x := told{Notification: n, at: time.Now()}
	if n.Lease != nil {
		x.left = n.Lease.Remaining()
	}
	e.mu.Lock()
	e.told = append(e.told, x)
	e.mu.Unlock()
	if e.handler != nil {
		return e.handler(ctx, n)
	}
	return nil
}

// of is what was told of a kind, in order.
func (e *fakeEngine) of(kind api.Kind) (out []told) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.told {
		if x.Kind == kind {
			out = append(out, x)
		}
	}
	return out
}

// kinds is the names of what was told of a stream, in order.
func (e *fakeEngine) kinds(stream string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, x := range e.told {
		if x.Stream == stream && x.Kind != api.Terminated {
			out = append(out, x.Kind.String())
		}
	}
	return strings.Join(out, " ")
}

// events is the kinds of events that were told.
func (e *fakeEngine) events() (out []api.EventKind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.facts {
		out = append(out, v.Kind)
	}
	return out
}

// held is the engine's lease of a stream.
func (e *fakeEngine) held(stream string) *lease.Lease {
	e.w.t.Helper()
	l := e.table.Get(stream)
	require.NotNil(e.w.t, l, "%s is not held", stream)
	require.Positive(e.w.t, l.Remaining())
	return l
}

// session is the live session of a partition.
func (e *fakeEngine) session(partition int) *lease.Session {
	e.w.t.Helper()
	s, _ := e.partitions[partition].view()
	require.NotNil(e.w.t, s)
	require.Positive(e.w.t, s.Remaining())
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
func (w *world) streamIn(partition, i int) string {
	for k := 0; ; k++ {
		name := fmt.Sprintf("p%d", k)
		if w.layout.Of(name) != partition {
			continue
		}
		if i == 0 {
			return name
		}
		i--
	}
}

// pass lets virtual time pass, and everything that follows from it happen.
func pass(d time.Duration) {
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
