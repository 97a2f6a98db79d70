package engine

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// What the gauges show is what an inspector counts.
func TestBacklogGauges(t *testing.T) {
	l := goLive(t, servers.New(t), nil, WithMaxStreams(2), WithReadBatch(1), WithRecovery(scan.Config{Interval: 100 * time.Millisecond}))
	k := l.layout.Keys(0)
	for n := range 7 {
		l.announce("s" + strconv.Itoa(n))
	}
	l.do("XADD", k.DeadLetters, "*", "lbs-input", "{}")
	l.do("ZADD", k.Later, "9e15", "x")
	l.until("two are held", func() bool { return l.Stats().Held == 2 })
	i, err := l.Inspector(scan.InspectorConfig{})
	require.NoError(t, err)
	var b scan.Backlog
	l.until("the gauges show what there is", func() bool {
		all, err := i.Backlog(context.Background())
		require.NoError(t, err)
		b = all[0]
		for name, want := range map[string]int{"lag": b.Lag, "pending": b.Pending, "consumers": b.Consumers, "later": b.Later,
			"dead_letters_kept": b.DeadLetters} {
			if got, there := l.metric(name, "service", liveService, "partition", "0"); !there || got != float64(want) {
				return false
			}
		}
		age, there := l.metric("oldest_pending_seconds")
		return there && age > 0
	})
	require.Equal(t, 7, b.Lag+b.Pending)
	require.Equal(t, scan.LagCounted, b.LagBy)
	require.Equal(t, 1, b.DeadLetters)
	require.Equal(t, 1, b.Later)
	require.Equal(t, 1, b.Consumers)
}

// What is old is not shown: somebody else of the fleet has had the turn since.
func TestBacklogGaugesGoWhenTheyAreOld(t *testing.T) {
	w := newGaugeWorld(t)
	w.p.backlog.Store(&measured{scan.Backlog{Lag: 3}, w.e.clock.Now()})
	require.Contains(t, w.emitted(), metrics.Lag)
	w.p.backlog.Store(&measured{scan.Backlog{Lag: -1}, w.e.clock.Now()})
	require.NotContains(t, w.emitted(), metrics.Lag, "unknown")
	require.Contains(t, w.emitted(), metrics.Pending)
	w.p.backlog.Store(&measured{scan.Backlog{Lag: 3}, w.e.clock.Now() - int64(2*w.e.cfg.recovery.Interval) - 1})
	require.Empty(t, w.emitted())
}

type gaugeWorld struct {
	e *Engine
	p *partition
}

func newGaugeWorld(t *testing.T) gaugeWorld {
	server := servers.New(t)
	e, err := New(server.Client(t), liveService)
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Shutdown(context.Background()) })
	return gaugeWorld{e, e.partitions[0]}
}

func (w gaugeWorld) emitted() map[metrics.Gauge]float64 {
	all := make(map[metrics.Gauge]float64)
	w.e.emitBacklog(w.p, func(g metrics.Gauge, _ int, v float64) { all[g] = v })
	return all
}
