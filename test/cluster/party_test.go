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

// party is an engine that keeps what it is given, and what it believed of itself.
type party struct {
	name     string
	engine   *engine.Engine
	recorder *overlap.Recorder
	registry *prometheus.Registry
	log      *telemetry.Log
	cut      *cut
	end      func()

	finishing atomic.Bool // new leases are done with at once
	watched   []int       // partitions whose leases are looked at for the least that remained
	mu        sync.Mutex
	leases    map[api.Lease]struct{} // not known to have ended
	added     map[string]int         // how often each stream was
	disowned  map[string][]error     // why each stream was, whenever it was
	events    []api.Event
	least     time.Duration // that remained of a lease in a watched partition; 0: nothing was watched
}

// cut keeps one process from some addresses.
type cut struct {
	mu   sync.Mutex
	from []string
}

// dial is a ClientOption's DialCtxFn.
func (c *cut) dial(ctx context.Context, addr string, d *net.Dialer) (net.Conn, error) {
	if c.is(addr) {
		// As where packets are dropped.
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

// set cuts these addresses off, in silence, and no others.
func (c *cut) set(addrs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = addrs
}

// cutConn loses what is written to an address that was cut off, so no answer comes either.
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

// join starts an engine with clients of its own and stops it at the end of the test.
func (w *world) join(name string, opts ...engine.Option) *party {
	w.t.Helper()
	p := w.newParty(name)
	opt := w.cluster.ClientOption()
	opt.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return p.cut.dial(ctx, addr, d)
	}
	e, err := engine.Open(opt, w.service, p.options(opts)...)
	require.NoError(w.t, err)
	w.run(p, e)
	return p
}

// joinOn starts an engine on a client that is the test's.
func (w *world) joinOn(name string, client rueidis.Client, opts ...engine.Option) *party {
	w.t.Helper()
	p := w.newParty(name)
	e, err := engine.New(client, w.service, p.options(opts)...)
	require.NoError(w.t, err)
	w.run(p, e)
	return p
}

func (w *world) newParty(name string) *party {
	return &party{
		name: name, recorder: overlap.NewRecorder(name, w.clock), registry: prometheus.NewRegistry(), log: &telemetry.Log{}, cut: &cut{},
		leases: make(map[api.Lease]struct{}), added: make(map[string]int), disowned: make(map[string][]error),
	}
}

func (p *party) options(more []engine.Option) []engine.Option {
	return append([]engine.Option{
		engine.WithConsumerID(p.name), engine.WithPartitions(partitions), engine.WithRegisterer(p.registry),
		engine.WithLogger(p.log.Logger()),
		engine.WithEvents(func(e api.Event) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, e)
		}),
	}, more...)
}

func (w *world) run(p *party, e *engine.Engine) {
	w.t.Helper()
	w.runUnready(p, e)
	w.eventually(func() bool { return p.ready() == nil }, "%s to be ready", p.name)
}

func (w *world) runUnready(p *party, e *engine.Engine) {
	p.engine = e
	w.all = append(w.all, p)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		_ = e.Run(ctx, p)
		close(ended)
	}()
	looked := make(chan struct{})
	go func() {
		p.look(ended)
		close(looked)
	}()
	p.end = sync.OnceFunc(func() {
		hurry, now := context.WithTimeout(context.Background(), 2*time.Second)
		defer now()
		cancel()
		_ = e.Shutdown(hurry) // what it says about nodes that are gone is not what these tests are about
		<-ended
		<-looked
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", p.name, p.log.String())
		}
	})
}

// Handle keeps what is added, or is done with it at once.
func (p *party) Handle(_ context.Context, n api.Notification) error {
	switch n.Kind {
	case api.Added:
		p.recorder.Look(n.Lease)
		p.mu.Lock()
		p.leases[n.Lease] = struct{}{}
		p.added[n.Stream]++
		p.mu.Unlock()
		if p.finishing.Load() {
			p.done(n.Lease)
		}
	case api.Disowned:
		p.mu.Lock()
		p.disowned[n.Stream] = append(p.disowned[n.Stream], n.Err)
		p.mu.Unlock()
	}
	return nil
}

// done ends a lease without waiting for the outcome: the engine sees to it.
func (p *party) done(l api.Lease) {
	p.recorder.Look(l)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.Done(ctx)
}

func (p *party) doneWithAll() {
	p.finishing.Store(true)
	for l := range p.engine.Leases() {
		p.done(l)
	}
}

// A party looks at all that it holds every so often, and so that looking takes no more than a share of one processor.
const (
	lookEvery = 20 * time.Millisecond
	lookShare = 10
)

// look notes what the party believes, all the time.
func (p *party) look(ended <-chan struct{}) {
	tick := time.NewTimer(lookEvery)
	defer tick.Stop()
	for {
		began := time.Now()
		p.mu.Lock()
		now := make([]api.Lease, 0, len(p.leases))
		for l := range p.leases {
			now = append(now, l)
		}
		p.mu.Unlock()
		for _, l := range now {
			left := p.recorder.Look(l)
			p.mu.Lock()
			if left == 0 {
				delete(p.leases, l)
			} else if slices.Contains(p.watched, l.(*lease.Lease).Partition()) && (p.least == 0 || left < p.least) {
				p.least = left
			}
			p.mu.Unlock()
		}
		tick.Reset(max(lookEvery, lookShare*time.Since(began)))
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

// watch has the least that remains of leases in these partitions noted from now on.
func (p *party) watch(partitions []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched, p.least = partitions, 0
}

// leastLeft is what watch has noted.
func (p *party) leastLeft() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.least
}

// held are the leases that the party holds in its own eyes, by stream.
func (p *party) held() map[string]api.Lease {
	out := make(map[string]api.Lease)
	for l := range p.engine.Leases() {
		out[l.Stream()] = l
	}
	return out
}

// lost are the streams that the party was ever told it no longer owns.
func (p *party) lost() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.disowned {
		out = append(out, s)
	}
	return out
}

// metric is the sum of a metric over all series with these labels, given as name, value, …
func (p *party) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	sum, _ := telemetry.Sum(t, p.registry, name, labels...)
	return sum
}

func (p *party) ready() error { return p.engine.Ready(context.Background()) }

// heard is how many events of a kind there were.
func (p *party) heard(kind api.EventKind) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (p *party) logged(text string) bool { return p.log.Has(text) }
