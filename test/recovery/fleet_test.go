package recovery

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/telemetry"
)

// member is an engine in the process of the test.
type member struct {
	h        *harness
	name     string
	engine   *engine.Engine
	registry *prometheus.Registry
	journal  *journal.Journal
	log      telemetry.Log
	ended    chan struct{} // closed when Run has returned
	err      error
	cancel   context.CancelFunc

	mu       sync.Mutex
	on       func(*member, api.Notification) error
	added    map[string]int
	disowned int
}

// member starts an engine and waits until it is ready. on is called for every notification; nil keeps every stream.
func (h *harness) member(name string, on func(*member, api.Notification) error, opts ...engine.Option) *member {
	h.T.Helper()
	return h.memberOn(h.server.ClientOption(), name, on, opts...)
}

func (h *harness) memberOn(opt rueidis.ClientOption, name string, on func(*member, api.Notification) error, opts ...engine.Option) *member {
	h.T.Helper()
	m := h.launch(opt, name, on, opts...)
	h.until(name+" is ready", func() bool { return m.engine.Ready(context.Background()) == nil })
	return m
}

// launch starts an engine.
func (h *harness) launch(opt rueidis.ClientOption, name string, on func(*member, api.Notification) error, opts ...engine.Option) *member {
	h.T.Helper()
	m := &member{h: h, name: name, registry: prometheus.NewRegistry(), ended: make(chan struct{}), on: on, added: make(map[string]int)}
	var err error
	m.journal, err = journal.Open(filepath.Join(h.dir, name+".journal"), name, prefix, 100_000)
	require.NoError(h.T, err)
	base := []engine.Option{engine.WithConsumerID(name), engine.WithRegisterer(m.registry),
		engine.WithLogger(m.log.Logger())}
	m.engine, err = engine.Open(opt, service, append(base, opts...)...)
	require.NoError(h.T, err)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		m.err = m.engine.Run(ctx, m)
		close(m.ended)
	}()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			m.journal.Look()
			select {
			case <-tick.C:
			case <-m.ended:
				return
			}
		}
	}()
	h.fleet = append(h.fleet, m)
	h.T.Cleanup(func() {
		m.drop()
		<-looked
		if h.T.Failed() {
			h.T.Logf("log of %s:\n%s", name, m.log.String())
		}
		require.NoError(h.T, m.journal.Close())
	})
	return m
}

// Handle counts notifications, and notes ownerships in the journal.
func (m *member) Handle(_ context.Context, n api.Notification) error {
	m.mu.Lock()
	switch n.Kind {
	case api.Added:
		m.added[n.Stream]++
	case api.Disowned:
		m.disowned++
	}
	on := m.on
	m.mu.Unlock()
	if n.Kind == api.Added {
		m.journal.Add(n.Lease)
	}
	if on == nil {
		return nil
	}
	return on(m, n)
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
	_ = m.engine.Shutdown(now) // the test is over, or the link is cut on purpose
	m.cancel()
	<-m.ended
}

func (m *member) held() int { return m.engine.Stats().Held }

func (m *member) timesAdded(stream string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.added[stream]
}

func (m *member) lost() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disowned
}

// finish ends a stream by Done and notes that.
func (m *member) finish(l api.Lease) error {
	page := m.journal.Page(l)
	if page == nil || !page.Extend(l) {
		return api.ErrNotHeld
	}
	page.Is(journal.Ending)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := l.Done(ctx)
	if err == nil {
		page.Is(journal.Finished)
	}
	return err
}

// finishAll is the handler of a member that ends every stream as soon as it owns it.
func finishAll(m *member, n api.Notification) error {
	if n.Kind == api.Added {
		_ = m.finish(n.Lease) // lost: it comes again
	}
	return nil
}

// metric returns the sum of all series of a metric whose labels have these values, given as name, value, …; of a histogram it
// sums the counts.
func (m *member) metric(name string, labels ...string) float64 {
	m.h.T.Helper()
	sum, there := telemetry.Sum(m.h.T, m.registry, name, labels...)
	require.True(m.h.T, there, "%s has no metric %s %v; those of an engine that has ended are gone", m.name, name, labels)
	return sum
}
