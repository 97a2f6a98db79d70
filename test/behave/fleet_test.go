package behave_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/telemetry"
)

// member is an engine, and a history of its notifications.
type member struct {
	h        *harness
	engine   *engine.Engine
	registry *prometheus.Registry
	recorder *overlap.Recorder
	ran      chan error // what Run returned
	log      telemetry.Log

	mu      sync.Mutex
	handler api.Handler // what the test does with notifications besides; nil: nothing
	counts  map[api.Kind]int
	streams map[string]*history
}

// history is what one member was notified of about one stream.
type history struct {
	lease  api.Lease // of the last Added
	tokens []api.Token
	kinds  map[api.Kind]int
}

// member opens an engine without starting it. It is shut down at the end of the test at the latest.
func (h *harness) member(name string, on api.Handler, opts ...engine.Option) *member {
	h.t.Helper()
	m := &member{h: h, handler: on, ran: make(chan error, 1), registry: prometheus.NewRegistry(),
		recorder: overlap.NewRecorder(name, h.clock), counts: make(map[api.Kind]int), streams: make(map[string]*history)}
	logger := m.log.Logger()
	base := []engine.Option{engine.WithConsumerID(name), engine.WithLogger(logger), engine.WithRegisterer(m.registry),
		engine.WithPartitions(h.layout.Partitions())}
	var err error
	m.engine, err = engine.Open(h.opt, h.service, append(base, opts...)...)
	require.NoError(h.t, err)
	// A second engine, which is never started, keeps the series: what the first one has counted can be read when it has ended.
	keep, err := engine.New(h.client, h.service, base...)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = keep.Shutdown(context.Background()) })
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = m.engine.Shutdown(ctx)
		if h.t.Failed() {
			h.t.Logf("log of %s:\n%s", name, m.log.String())
		}
	})
	return m
}

// start runs a new member and waits until it is ready.
func (h *harness) start(name string, on api.Handler, opts ...engine.Option) *member {
	h.t.Helper()
	m := h.member(name, on, opts...)
	m.run()
	return m
}

// run starts the engine and waits until it is ready.
func (m *member) run() {
	m.h.t.Helper()
	go func() { m.ran <- m.engine.Run(context.Background(), m) }()
	until(m.h.t, "the engine is ready", func() bool { return m.engine.Ready(context.Background()) == nil })
}

// Handle keeps the history.
func (m *member) Handle(ctx context.Context, n api.Notification) error {
	m.mu.Lock()
	m.counts[n.Kind]++
	if n.Stream != "" {
		s := m.streams[n.Stream]
		if s == nil {
			s = &history{kinds: make(map[api.Kind]int)}
			m.streams[n.Stream] = s
		}
		s.kinds[n.Kind]++
		if n.Kind == api.Added {
			s.lease = n.Lease
			s.tokens = append(s.tokens, n.Token)
		}
	}
	on := m.handler
	m.mu.Unlock()
	if n.Lease != nil {
		m.recorder.Look(n.Lease)
	}
	if on == nil {
		return nil
	}
	return on.Handle(ctx, n)
}

// setHandler changes what the test does with notifications from now on.
func (m *member) setHandler(h api.Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.handler = h
}

// notified returns the number of notifications of a kind.
func (m *member) notified(k api.Kind) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[k]
}

// notifiedOf returns the number of notifications of a kind about one stream.
func (m *member) notifiedOf(stream string, k api.Kind) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.streams[stream]; s != nil {
		return s.kinds[k]
	}
	return 0
}

// lease waits for the n-th Added of a stream, from 1, and returns its lease.
func (m *member) lease(stream string, n int) (l api.Lease) {
	m.h.t.Helper()
	until(m.h.t, "stream "+stream+" is added", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if s := m.streams[stream]; s != nil && len(s.tokens) >= n {
			l = s.lease
		}
		return l != nil
	})
	return l
}

// owned returns the histories of all streams so far, by name.
func (m *member) owned() map[string]*history {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.streams)
}

// holds waits until the engine holds n streams and all its notifications have been handled.
func (m *member) holds(n int) {
	m.h.t.Helper()
	until(m.h.t, "the streams are held", func() bool {
		s := m.engine.Stats()
		return s.Held == n && s.Queued == 0 && s.Busy == 0
	})
}

// shutdown drains the engine and returns the error of Run.
func (m *member) shutdown() error {
	m.h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := m.engine.Shutdown(ctx)
	ran := receive(m.h.t, "Run returns", m.ran)
	require.Equal(m.h.t, ran, err, "Run and Shutdown return the same")
	return err
}

// metric returns the sum of all series of a metric whose labels have these values, given as name, value, …
func (m *member) metric(name string, labels ...string) float64 {
	m.h.t.Helper()
	return metric(m.h.t, m.registry, name, labels...)
}

func metric(t testing.TB, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	sum, there := telemetry.Sum(t, registry, name, labels...)
	require.True(t, there, "there is a metric %s %v", name, labels)
	return sum
}

// awaitCount waits until a metric has this value: an effect that is visible on the server is counted when the reply has arrived.
func (m *member) awaitCount(want int, name string, labels ...string) {
	m.h.t.Helper()
	until(m.h.t, fmt.Sprintf("%s %v to be %d", name, labels, want), func() bool {
		sum, _ := telemetry.Sum(m.h.t, m.registry, name, labels...)
		return sum == float64(want)
	})
}

// awaitAny waits until something is counted: the effects of a call whose reply is late are never counted.
func (m *member) awaitAny(name string, labels ...string) {
	m.h.t.Helper()
	until(m.h.t, fmt.Sprintf("%s %v to count something", name, labels), func() bool {
		sum, _ := telemetry.Sum(m.h.t, m.registry, name, labels...)
		return sum > 0
	})
}
