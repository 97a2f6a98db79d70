package engine

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/outbox"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/telemetry"
)

// testEngine is an engine on a fakeStore, with what it has reported: notifications, events and its log.
type testEngine struct {
	*Engine
	h        *harness
	fake     *fakeStore
	registry *prometheus.Registry
	ended    chan struct{} // closed when Run has returned
	err      error         // of Run
	stop     context.CancelFunc

	// handler is called after a notification was recorded; without one, Handle returns nil.
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

// startWith starts the engine by calling f in a goroutine.
func (e *testEngine) startWith(f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	go func() {
		defer close(e.ended)
		e.err = f(ctx)
	}()
}

// startRun starts the engine with Run and the recording handler.
func (e *testEngine) startRun() {
	e.startWith(func(ctx context.Context) error { return e.Run(ctx, e) })
}

// halt ends an engine in whatever state it is.
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

// shutdownAndWait shuts the engine down, and returns the errors of Shutdown and Run.
func (e *testEngine) shutdownAndWait() (shutdown, run error) {
	shutdown = e.Shutdown(context.Background())
	<-e.ended
	return shutdown, e.err
}

// Write takes what is logged.
func (e *testEngine) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logs.Write(p)
}

// logged is the log so far.
func (e *testEngine) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logs.String()
}

// Handle records a notification.
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

// notified are the notifications of a kind, in order.
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

// kinds are the kinds of the notifications about a stream, in order, but for Terminated.
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

// events are the kinds of the emitted events.
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

// parkedEntries are the entries that are parked for the live session of a partition.
func (e *testEngine) parkedEntries(partition int) []*lease.Entry {
	e.h.t.Helper()
	return e.parked.list.Of(e.session(partition))
}

// session is the live session of a partition.
func (e *testEngine) session(partition int) *lease.Session {
	e.h.t.Helper()
	s, _ := e.partitions[partition].view()
	require.NotNil(e.h.t, s)
	require.Positive(e.h.t, s.Remaining())
	return s
}

// counted is the value of a counter, for all or some values of its labels.
func (e *testEngine) counted(name string, labels ...string) int {
	sum, _ := telemetry.Sum(e.h.t, e.registry, name, labels...)
	return int(sum)
}

// hookCount is how often the calls of a hook had a result.
func (e *testEngine) hookCount(hook string, r outbox.Result) int {
	return e.counted("hooks_total", "hook", hook, "result", r.String())
}

// heldThroughout requires that all of n streams stay held for a while.
func (e *testEngine) heldThroughout(n int, d time.Duration) {
	e.h.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); advance(time.Second) {
		held := 0
		for l := range e.Leases() {
			require.Positive(e.h.t, l.Remaining())
			held++
		}
		require.Equal(e.h.t, n, held)
	}
	require.Empty(e.h.t, e.notified(api.Disowned))
}

// kept requires that nothing was disowned and n streams are held.
func (e *testEngine) kept(n int) {
	e.h.t.Helper()
	require.Empty(e.h.t, e.notified(api.Disowned))
	require.Equal(e.h.t, n, e.Stats().Held)
	for l := range e.Leases() {
		require.Positive(e.h.t, l.Remaining())
	}
}

// consumer is the name of the live session of a partition.
func (e *testEngine) consumer(partition int) string {
	s, _ := e.partitions[partition].view()
	if s == nil {
		return ""
	}
	return s.Consumer()
}

// endSession ends the session of a partition on the server, as if its time had passed.
func (e *testEngine) endSession(partition int) {
	consumer := e.session(partition).Consumer()
	e.h.server.with(partition, func(p *fakePartition) { p.sessions[consumer] = 1 })
}

// countEvents is how many events of a kind were emitted.
func (e *testEngine) countEvents(kind api.EventKind) (n int) {
	for _, k := range e.events() {
		if k == kind {
			n++
		}
	}
	return n
}

// assign sets which partitions share a master.
func (e *testEngine) assign(lane func(partition int) int) {
	lanes := make([]int, len(e.partitions))
	for p := range lanes {
		lanes[p] = lane(p)
	}
	e.lanes.assign(lanes)
}
