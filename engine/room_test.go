package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/telemetry"
)

// observed is the sum of what a histogram has observed.
func (e *testEngine) observed(name string, labels ...string) time.Duration {
	e.h.t.Helper()
	families, err := e.registry.Gather()
	require.NoError(e.h.t, err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			matches := f.GetName() == "streamlease_"+name
			for _, l := range m.GetLabel() {
				matches = matches && (len(labels) == 0 || l.GetName() != labels[0] || l.GetValue() == labels[1])
			}
			if matches {
				sum += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return time.Duration(sum * float64(time.Second))
}

// How long each ownership lasted is counted once, by how it ended.
func TestOwnershipsAreMeasured(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		ctx := context.Background()
		e := h.start(nil)
		h.server.announce("done", "failed", "lost", "drained")
		advance(time.Second)
		requireLasted := func(kind string, n int, least time.Duration) {
			t.Helper()
			require.Equal(t, n, e.counted("ownership_duration_seconds", "kind", kind), kind)
			got := e.observed("ownership_duration_seconds", "kind", kind)
			require.GreaterOrEqual(t, got, least, kind)
			require.Less(t, got, least+10*time.Second, kind)
		}
		advance(time.Hour)
		require.NoError(t, e.held("done").Done(ctx))
		require.NoError(t, e.held("failed").Fail(ctx, api.Permanent(errors.New("no"))))
		requireLasted("done", 1, time.Hour)
		requireLasted("failed", 1, time.Hour)
		require.Equal(t, 2, e.counted("ownership_duration_seconds"))

		h.server.with(0, func(p *fakePartition) { delete(p.leases, e.held("lost").Key()) })
		advance(time.Minute)
		require.Equal(t, "Added Disowned Added", e.kinds("lost"))
		requireLasted("lost", 1, time.Hour)
		require.NoError(t, e.held("lost").Release(ctx))
		require.Equal(t, 1, e.counted("ownership_duration_seconds", "kind", "released"))
		advance(time.Minute)

		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.Equal(t, 2, e.counted("ownership_duration_seconds", "kind", "handed_back"))
		require.Equal(t, len(e.notified(api.Added)), e.counted("ownership_duration_seconds"), "each that began has ended once")
		require.Equal(t, len(e.notified(api.Added)), e.counted("ownership_wait_seconds"))
	})
}

// An announcement waits from its ID on. What is handed back waits again, from its new ID on.
func TestWaitForAnOwnershipIsMeasured(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("early")
		advance(time.Hour)
		e := h.start(nil)
		advance(time.Second)
		require.InDelta(t, time.Hour, e.observed("ownership_wait_seconds"), float64(10*time.Second))
		require.NoError(t, e.held("early").Release(context.Background()))
		advance(time.Second)
		require.Equal(t, "Added Added", e.kinds("early"))
		require.Equal(t, 2, e.counted("ownership_wait_seconds"))
		require.InDelta(t, time.Hour, e.observed("ownership_wait_seconds"), float64(10*time.Second))
	})
}

// The limit, whether it is reached, and for how long that has kept partitions from being read.
func TestRoomIsShown(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil)
		shown := func(name string, labels ...string) float64 {
			t.Helper()
			v, there := telemetry.Sum(t, e.registry, name, labels...)
			require.True(t, there, name)
			return v
		}
		advance(time.Second)
		_, limited := telemetry.Sum(t, e.registry, "max_streams")
		require.False(t, limited)
		require.Zero(t, shown("full"))
		require.Zero(t, e.Stats().MaxStreams)

		e.SetMaxStreams(4)
		h.server.announce(streams(20)...)
		advance(time.Minute)
		require.EqualValues(t, 4, shown("max_streams"))
		require.EqualValues(t, 1, shown("full"))
		for _, p := range []string{"0", "1"} {
			require.InDelta(t, 60, shown("room_wait_seconds", "partition", p), 2, "chores in between change nothing")
		}
		s := e.Stats()
		require.Equal(t, []any{4, true, 2}, []any{s.MaxStreams, s.Full, s.Roomless})

		e.SetMaxStreams(NoStreams)
		advance(time.Minute)
		require.Zero(t, shown("max_streams"))
		require.EqualValues(t, 1, shown("full"))
		require.Equal(t, NoStreams, e.Stats().MaxStreams)

		e.SetMaxStreams(0)
		advance(time.Second)
		_, limited = telemetry.Sum(t, e.registry, "max_streams")
		require.False(t, limited)
		require.Zero(t, shown("full"))
		require.Zero(t, shown("room_wait_seconds"))
		s = e.Stats()
		require.Equal(t, []any{20, 0, false, 0}, []any{s.Held, s.MaxStreams, s.Full, s.Roomless})
	})
}
