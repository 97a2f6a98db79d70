package engine

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// The gauges show what an inspector counts.
func TestBacklogGaugesShowWhatTheInspectorCounts(t *testing.T) {
	l := startLive(t, servers.New(t), nil, WithMaxStreams(2), WithReadBatch(1), WithRecovery(scan.Config{Interval: 100 * time.Millisecond}))
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
	l.until("the gauges show what the inspector counts", func() bool {
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
	l.until("and what of that waits for room", func() bool {
		waiting, there := l.metric("waiting_for_room", "partition", "0")
		wait, _ := l.metric("room_wait_seconds", "partition", "0")
		return there && waiting == float64(b.Lag) && wait > 0
	})
	require.Equal(t, 7, b.Lag+b.Pending)
	require.Equal(t, scan.LagCounted, b.LagBy)
	require.Equal(t, 1, b.DeadLetters)
	require.Equal(t, 1, b.Later)
	require.Equal(t, 1, b.Consumers)
}

// An old measurement is not exported: another process has had the turn since.
func TestStaleBacklogIsNotExported(t *testing.T) {
	const interval = time.Second
	b := newBacklogs(&env{cfg: &config{recovery: scan.Config{Interval: interval}}, clock: lease.NewClock()}, 1, nil)
	roomless := true
	show := func(m scan.Backlog, ago time.Duration) map[metrics.Gauge]float64 {
		b.last[0].Store(&measured{m, b.clock.Now() - int64(ago)})
		emitted := make(map[metrics.Gauge]float64)
		b.emit(0, roomless, func(g metrics.Gauge, _ int, v float64) { emitted[g] = v })
		return emitted
	}
	exact := show(scan.Backlog{Lag: 3, LagBy: scan.LagTold}, 0)
	require.Equal(t, []float64{3, 0}, []float64{exact[metrics.Lag], exact[metrics.LagEstimated]})
	require.Contains(t, exact, metrics.LagEstimated)
	require.EqualValues(t, 3, exact[metrics.WaitingForRoom])
	roomless = false
	exact = show(scan.Backlog{Lag: 3, LagBy: scan.LagTold}, 0)
	require.Contains(t, exact, metrics.WaitingForRoom)
	require.Zero(t, exact[metrics.WaitingForRoom])
	require.Contains(t, exact, metrics.Stranded)
	estimate := show(scan.Backlog{Lag: 4, Stranded: -1, WithoutBody: -1, LagBy: scan.LagEstimated}, 0)
	require.Equal(t, []float64{4, 1}, []float64{estimate[metrics.Lag], estimate[metrics.LagEstimated]})
	require.NotContains(t, estimate, metrics.Stranded)
	require.NotContains(t, estimate, metrics.PendingWithoutBody)
	require.Contains(t, estimate, metrics.Pending)
	require.Empty(t, show(scan.Backlog{Lag: 3}, 2*interval+1))
}
