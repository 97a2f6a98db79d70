package balance

import (
	"context"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/telemetry"
)

// member is an engine that keeps what it gets.
type member struct {
	t        testing.TB
	name     string
	engine   *engine.Engine
	recorder *overlap.Recorder
	registry *prometheus.Registry
	log      telemetry.Log
	cancel   context.CancelFunc
	ended    chan struct{}
	err      error // of Run, once it has ended

	mu        sync.Mutex
	added     int
	releasing []error // why streams were to be handed back
	disowned  int
}

// join starts an engine, and waits until it is ready and on record in all partitions, or in none.
func (h *harness) join(name string, opts ...engine.Option) *member {
	h.T.Helper()
	m := h.joinAs(name, h.opt, opts...)
	h.awaitState(m, "shares")
	return m
}

func (h *harness) joinAs(name string, opt rueidis.ClientOption, opts ...engine.Option) *member {
	h.T.Helper()
	m := &member{
		t: h.T, name: name, recorder: overlap.NewRecorder(name, h.clock), registry: prometheus.NewRegistry(), ended: make(chan struct{}),
	}
	base := []engine.Option{
		engine.WithConsumerID(name), engine.WithPartitions(h.layout.Partitions()), engine.WithRegisterer(m.registry), engine.WithLogger(m.log.Logger()),
	}
	var err error
	m.engine, err = engine.Open(opt, h.service, append(base, opts...)...)
	require.NoError(h.T, err)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		m.err = m.engine.Run(ctx, m)
		close(m.ended)
	}()
	h.fleet = append(h.fleet, m)
	h.until(name+" is ready", func() bool { return m.engine.Ready(context.Background()) == nil })
	return m
}

// Handle notes what happens. A lease that is to be handed back is still held: what is noted of it lasts until then.
func (m *member) Handle(_ context.Context, n api.Notification) error {
	if n.Lease != nil {
		m.recorder.Look(n.Lease)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch n.Kind {
	case api.Added:
		m.added++
	case api.Releasing:
		m.releasing = append(m.releasing, n.Err)
	case api.Disowned:
		m.disowned++
	}
	return nil
}

func (m *member) held() int { return m.engine.Stats().Held }

// gained is how many streams it got so far.
func (m *member) gained() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.added
}

// released returns why streams were to be handed back.
func (m *member) released() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]error(nil), m.releasing...)
}

// lost is how many streams it lost without its doing.
func (m *member) lost() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disowned
}

// metric returns the sum of a metric.
func (m *member) metric(name string, labels ...string) float64 {
	m.t.Helper()
	sum, there := telemetry.Sum(m.t, m.registry, name, labels...)
	require.True(m.t, there, "%s has no metric %s %v; those of an engine that has ended are gone", m.name, name, labels)
	return sum
}

// stop drains the engine.
func (m *member) stop() error {
	m.cancel()
	<-m.ended
	return m.err
}

// drop ends the engine without waiting until anything is requeued.
func (m *member) drop() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.engine.Shutdown(now)
	m.cancel()
	<-m.ended
}
