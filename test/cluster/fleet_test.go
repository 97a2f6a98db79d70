package cluster

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/telemetry"
)

// member is an engine that keeps every stream it gets, and records what it believed it owned.
type member struct {
	name     string
	engine   *engine.Engine
	recorder *overlap.Recorder
	registry *prometheus.Registry
	log      telemetry.Log
	events   telemetry.Events
	cut      *cut
	end      func()

	finishing atomic.Bool // new leases are ended at once
	watched   []int       // partitions in which the least remaining time is noted
	mu        sync.Mutex
	leases    map[api.Lease]struct{} // not known to have ended
	added     map[string]int         // how often each stream was added
	disowned  map[string][]error     // each time a stream was, with the reason
	least     time.Duration          // that remained of a lease in a watched partition; 0: none was sampled
}

// cut keeps one process from reaching some addresses.
type cut struct {
	mu   sync.Mutex
	from []string
}

// dial is a ClientOption's DialCtxFn.
func (c *cut) dial(ctx context.Context, addr string, d *net.Dialer) (net.Conn, error) {
	if c.is(addr) {
		// As if packets were dropped.
		ctx, cancel := context.WithTimeout(ctx, d.Timeout)
		defer cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, cut: c, addr: addr}, nil
}

func (c *cut) is(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.from, addr)
}

// set cuts off these addresses, silently, and no others.
func (c *cut) set(addrs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = addrs
}

// cutConn drops what is written to an address that is cut off, so there is no reply either.
type cutConn struct {
	net.Conn
	cut    *cut
	addr   string
	closed atomic.Bool
}

func (c *cutConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.cut.is(c.addr) && !c.closed.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// join starts an engine with its own clients, and stops it at the end of the test.
func (h *harness) join(name string, opts ...engine.Option) *member {
	h.t.Helper()
	m := h.newMember(name)
	opt := h.cluster.ClientOption()
	opt.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return m.cut.dial(ctx, addr, d)
	}
	e, err := engine.Open(opt, h.service, m.options(opts)...)
	require.NoError(h.t, err)
	h.run(m, e)
	return m
}

// joinOn starts an engine on a client of the test.
func (h *harness) joinOn(name string, client rueidis.Client, opts ...engine.Option) *member {
	h.t.Helper()
	m := h.newMember(name)
	e, err := engine.New(client, h.service, m.options(opts)...)
	require.NoError(h.t, err)
	h.run(m, e)
	return m
}

func (h *harness) newMember(name string) *member {
	return &member{
		name: name, recorder: overlap.NewRecorder(name, h.clock), registry: prometheus.NewRegistry(), cut: &cut{},
		leases: make(map[api.Lease]struct{}), added: make(map[string]int), disowned: make(map[string][]error),
	}
}

func (m *member) options(more []engine.Option) []engine.Option {
	return append([]engine.Option{
		engine.WithConsumerID(m.name), engine.WithPartitions(partitions), engine.WithRegisterer(m.registry),
		engine.WithLogger(m.log.Logger()),
		engine.WithEvents(m.events.Add),
	}, more...)
}

func (h *harness) run(m *member, e *engine.Engine) {
	h.t.Helper()
	h.runUnready(m, e)
	h.eventually(func() bool { return m.ready() == nil }, "%s to be ready", m.name)
}

func (h *harness) runUnready(m *member, e *engine.Engine) {
	m.engine = e
	h.fleet = append(h.fleet, m)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		_ = e.Run(ctx, m)
		close(ended)
	}()
	looked := make(chan struct{})
	go func() {
		m.look(ended)
		close(looked)
	}()
	m.end = sync.OnceFunc(func() {
		hurry, now := context.WithTimeout(context.Background(), 2*time.Second)
		defer now()
		cancel()
		_ = e.Shutdown(hurry) // errors about nodes that are gone are not what these tests are about
		<-ended
		<-looked
		if h.t.Failed() {
			h.t.Logf("log of %s:\n%s", m.name, m.log.String())
		}
	})
}

// Handle keeps every stream, or ends it at once.
func (m *member) Handle(_ context.Context, n api.Notification) error {
	switch n.Kind {
	case api.Added:
		m.recorder.Look(n.Lease)
		m.mu.Lock()
		m.leases[n.Lease] = struct{}{}
		m.added[n.Stream]++
		m.mu.Unlock()
		if m.finishing.Load() {
			m.done(n.Lease)
		}
	case api.Disowned:
		m.mu.Lock()
		m.disowned[n.Stream] = append(m.disowned[n.Stream], n.Err)
		m.mu.Unlock()
	}
	return nil
}

// done ends a lease without waiting for the outcome, which is left to the engine.
func (m *member) done(l api.Lease) {
	m.recorder.Look(l)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.Done(ctx)
}

func (m *member) doneWithAll() {
	m.finishing.Store(true)
	for l := range m.engine.Leases() {
		m.done(l)
	}
}

// A member samples all its leases at this interval, or less often, so that sampling takes at most a share of one processor.
const (
	lookEvery = 20 * time.Millisecond
	lookShare = 10
)

// look samples what the member believes it owns, until the engine has ended.
func (m *member) look(ended <-chan struct{}) {
	tick := time.NewTimer(lookEvery)
	defer tick.Stop()
	for {
		began := time.Now()
		m.mu.Lock()
		now := make([]api.Lease, 0, len(m.leases))
		for l := range m.leases {
			now = append(now, l)
		}
		m.mu.Unlock()
		for _, l := range now {
			left := m.recorder.Look(l)
			m.mu.Lock()
			if left == 0 {
				delete(m.leases, l)
			} else if slices.Contains(m.watched, l.(*lease.Lease).Partition()) && (m.least == 0 || left < m.least) {
				m.least = left
			}
			m.mu.Unlock()
		}
		tick.Reset(max(lookEvery, lookShare*time.Since(began)))
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

// watch notes from now on the least that remains of any lease in these partitions.
func (m *member) watch(partitions []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watched, m.least = partitions, 0
}

// leastLeft returns what watch has noted.
func (m *member) leastLeft() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.least
}

// held returns the leases that the member believes it holds, by stream.
func (m *member) held() map[string]api.Lease {
	out := make(map[string]api.Lease)
	for l := range m.engine.Leases() {
		out[l.Stream()] = l
	}
	return out
}

// lost returns the streams of which the member ever got a Disowned.
func (m *member) lost() (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range m.disowned {
		out = append(out, s)
	}
	return out
}

// metric returns the sum of a metric over all series with these labels, given as name, value, …
func (m *member) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	sum, there := telemetry.Sum(t, m.registry, name, labels...)
	require.True(t, there, "%s has no metric %s %v; those of an engine that has ended are gone", m.name, name, labels)
	return sum
}

func (m *member) ready() error { return m.engine.Ready(context.Background()) }
