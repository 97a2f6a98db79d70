package engine

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/virtual"
)

// harness is a fakeServer and the engines on it, in a bubble of virtual time. It checks G1 for every lease that the server
// grants: at that moment no engine may trust an older lease of the stream.
type harness struct {
	t      *testing.T
	server *fakeServer
	layout *cluster.Layout

	mu       sync.Mutex
	engines  []*testEngine
	overlaps []string
}

// bubble runs a test in virtual time, with that many partitions.
func bubble(t *testing.T, partitions int, f func(t *testing.T, h *harness)) {
	t.Helper()
	virtual.Test(t, func(t *testing.T) {
		layout, err := cluster.NewLayout("svc", partitions)
		require.NoError(t, err)
		h := &harness{t: t, layout: layout, server: newFakeServer(layout)}
		h.server.granted = h.checkOneOwner
		defer func() {
			for _, e := range h.engines {
				e.halt()
			}
			time.Sleep(time.Second) // for a read that is being given up: an engine that stops at once does not wait for it
			h.mu.Lock()
			defer h.mu.Unlock()
			require.Empty(t, h.overlaps, "G1: two owners")
		}()
		f(t, h)
	})
}

// checkOneOwner is called when the server grants a lease.
func (h *harness) checkOneOwner(partition int, consumer, entry, stream string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.engines {
		l := e.table.Get(stream)
		if l == nil || l.Remaining() == 0 {
			continue
		}
		if l.Session().Consumer() == consumer && l.Entry() == entry {
			continue // the answer of this very acquisition was lost
		}
		h.overlaps = append(h.overlaps, fmt.Sprintf("%s: entry %s granted to %s while %s trusts %s for %v",
			stream, entry, consumer, l.Session().Consumer(), l.Entry(), l.Remaining()))
	}
}

// newEngine makes an engine and does not start it.
func (h *harness) newEngine(opts ...Option) *testEngine {
	h.t.Helper()
	e := &testEngine{h: h, ended: make(chan struct{}), registry: prometheus.NewRegistry()}
	base := []Option{
		WithConsumerID("host"), WithPartitions(h.layout.Partitions()), WithRegisterer(e.registry),
		WithLogger(slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelDebug}))),
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
	keep, err := metrics.New(e.registry, "svc", nil) // what the engine has counted can be read when it has ended
	require.NoError(h.t, err)
	h.t.Cleanup(keep.Close)
	e.fake = &fakeStore{server: h.server, every: cfg.recovery.Interval, set: lease.Settings{
		LeaseTTL: cfg.leaseTTL, SessionTTL: cfg.sessionTTL, Gap: cfg.gap, Settle: cfg.settle, Timeout: cfg.timeout, Signals: e.positions,
		Balance: e.balancer.calls,
	}}
	e.store, e.scan = e.fake, fakeScan{e.fake}
	h.mu.Lock()
	h.engines = append(h.engines, e)
	h.mu.Unlock()
	return e
}

// start makes an engine and runs it. handler is called after each notification was recorded; it may be nil.
func (h *harness) start(handler api.HandlerFunc, opts ...Option) *testEngine {
	h.t.Helper()
	e := h.newEngine(opts...)
	e.handler = handler
	e.startRun()
	synctest.Wait()
	return e
}

// ungated is for tests of other limits: the engine reads whatever there is.
var ungated = WithBalance(balance.Config{Gate: balance.Off})

// streams are n names.
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

// advance lets virtual time pass, and waits for everything that follows from it.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// countCalls is the number of calls of some kinds.
func countCalls(calls []fakeCall, ops ...string) (n int) {
	for _, c := range calls {
		if slices.Contains(ops, c.op) {
			n++
		}
	}
	return n
}

// sumCalls is the number of leases or entries in all calls of some kinds.
func sumCalls(calls []fakeCall, ops ...string) (n int) {
	for _, c := range calls {
		if slices.Contains(ops, c.op) {
			n += c.n
		}
	}
	return n
}

// mostPerSecond is the most calls of some kinds that started within one second.
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

// hold puts a lease of somebody else on the server, for so long; nobody renews it.
func (h *harness) hold(stream, consumer string, d time.Duration) {
	n := h.layout.Of(stream)
	h.server.with(n, func(p *fakePartition) {
		p.leases[p.keys.Lease(stream)] = &fakeLease{consumer: consumer, entry: "1-1", token: 1, until: nowMilli() + d.Milliseconds()}
	})
}

// names are n names for each of the first partitions.
func (h *harness) names(partitions, n int) [][]string {
	all := make([][]string, partitions)
	for k, missing := 0, partitions*n; missing > 0; k++ {
		name := fmt.Sprintf("n%d", k)
		if p := h.layout.Of(name); p < partitions && len(all[p]) < n {
			all[p] = append(all[p], name)
			missing--
		}
	}
	return all
}

// callTimes are the times of the calls of a kind that carried an entry.
func callTimes(calls []fakeCall, op, id string) (at []time.Time) {
	for _, c := range calls {
		if c.op == op && slices.Contains(c.entries, id) {
			at = append(at, c.at)
		}
	}
	return at
}

// deadReasons are the reasons of the dead letters of the first partition, by stream.
func (h *harness) deadReasons() map[string]string {
	reasons := make(map[string]string)
	h.server.with(0, func(p *fakePartition) {
		for _, x := range p.dead {
			parsed, err := lease.ParseEntry(h.layout, 0, x.id, x.body)
			require.NoError(h.t, err)
			for _, f := range x.body {
				if f.Field == lease.FieldReason {
					reasons[parsed.Stream] = f.Value
				}
			}
		}
	})
	return reasons
}
