package behave_test

import (
	"context"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/telemetry"
)

// TestReadyFollowsTheServer: not ready before the start, nor while Redis is down; ready when it is back; not ready after the end.
func TestReadyFollowsTheServer(t *testing.T) {
	t.Parallel()
	h := newOwnHarness(t)
	ctx := context.Background()
	m := h.member("a", nil, engine.WithLeaseTTL(shortTTL))
	require.ErrorIs(t, m.engine.Ready(ctx), api.ErrNotReady)
	m.run()
	h.announce("s")
	first := m.lease("s", 1)
	h.kill(t)
	until(t, "it is not ready", func() bool { return m.engine.Ready(ctx) != nil })
	require.ErrorIs(t, m.engine.Ready(ctx), api.ErrNotReady)
	until(t, "the stream is disowned", func() bool { return m.notifiedOf("s", api.Disowned) == 1 })
	require.Zero(t, first.Remaining())
	_, ok := m.engine.Lease("s")
	require.False(t, ok)
	require.NoError(t, h.restart(ctx))
	until(t, "it is ready again", func() bool { return m.engine.Ready(ctx) == nil })
	h.client = h.connect(t) // connections of the old client end one by one, each with an error
	h.announce("s")
	require.Greater(t, m.lease("s", 2).Token(), first.Token(), "tokens rise although the server forgot them")
	h.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 1, Consumers: 1})
	require.NoError(t, m.shutdown())
	require.ErrorIs(t, m.engine.Ready(ctx), api.ErrNotReady)
	h.stateIs(state{Input: 1})
}

// TestLeasesByName: Lease, Leases, Stats and DoneStream agree with the server.
func TestLeasesByName(t *testing.T) {
	t.Parallel()
	h := newHarnessOf(t, 3)
	ctx := context.Background()
	m := h.start("a", nil)
	streams := names("s", 100)
	h.announce(streams...)
	m.holds(100)
	var listed []string
	for l := range m.engine.Leases() {
		require.Positive(t, l.Remaining())
		listed = append(listed, l.Stream())
	}
	require.ElementsMatch(t, streams, listed)
	for range m.engine.Leases() {
		break // breaking out of the loop is fine
	}
	held := h.held()
	for _, s := range streams {
		l, ok := m.engine.Lease(s)
		require.True(t, ok)
		require.Equal(t, held[s].token, uint64(l.Token()))
		require.Same(t, m.lease(s, 1), l)
	}
	stats := m.engine.Stats()
	require.Positive(t, stats.Oldest)
	stats.Oldest, stats.Late = 0, 0 // a busy machine renews late
	require.InDelta(t, 100, stats.Fair, 1e-6)
	stats.Fair = 100
	require.Equal(t, engine.Stats{Held: 100, Partitions: 3, Live: 3, Balance: scan.BalanceShares, Weight: 1, Fair: 100}, stats)
	require.EqualValues(t, 100, m.metric("held"))

	require.NoError(t, m.engine.DoneStream(ctx, streams[0]))
	require.ErrorIs(t, m.engine.DoneStream(ctx, streams[0]), api.ErrNotHeld)
	require.ErrorIs(t, m.engine.DoneStream(ctx, "never announced"), api.ErrNotHeld)
	_, ok := m.engine.Lease(streams[0])
	require.False(t, ok)
	require.ErrorIs(t, context.Cause(m.lease(streams[0], 1).Context()), api.ErrNotHeld)
	require.Equal(t, 99, m.engine.Stats().Held)
	h.stateIs(state{Input: 99, Pending: 99, Leases: 99, Sessions: 1, Consumers: 1})
}

// TestDoneStreamDoesNotSeeTheStreamsOfOthers: it ends what this process owns and nothing else.
func TestDoneStreamDoesNotSeeTheStreamsOfOthers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.start("a", nil)
	h.announce("s")
	a.lease("s", 1)
	b := h.start("b", nil)
	err := b.engine.DoneStream(context.Background(), "s")
	require.ErrorIs(t, err, api.ErrNotHeld)
	require.NotErrorIs(t, err, api.ErrHeldElsewhere, "it does not ask who owns it")
	require.ErrorIs(t, b.engine.Requeue(context.Background(), "s"), api.ErrHeldElsewhere, "which does")
	_, ok := b.engine.Lease("s")
	require.False(t, ok)
	h.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 2, Consumers: 2})
}

// TestSetMaxStreams: reading stops at the limit and resumes when it is raised. Lowering it requeues the youngest streams, each
// after a Releasing, and others take them.
func TestSetMaxStreams(t *testing.T) {
	t.Parallel()
	h := newHarnessOf(t, 2)
	a := h.start("a", nil, engine.WithMaxStreams(60))
	h.announce(names("s", 100)...)
	a.holds(60)
	waiting := func() int { s := h.state(); return s.Input - s.Pending }
	until(t, "the rest is left to others", func() bool { return waiting() == 40 })
	a.engine.SetMaxStreams(80)
	a.holds(80)
	a.engine.SetMaxStreams(0)
	a.holds(100)
	require.Zero(t, a.notified(api.Releasing))

	b := h.start("b", nil)
	a.engine.SetMaxStreams(30)
	a.holds(30)
	b.holds(70)
	require.Equal(t, 70, a.notified(api.Releasing))
	require.Zero(t, a.notified(api.Disowned))
	h.stateIs(state{Input: 100, Pending: 100, Leases: 100, Sessions: 2, Consumers: 2})
	require.Zero(t, h.countField("_retry_count"))

	// A full engine does not block one with room, and takes streams again once it has room itself.
	h.announce("more")
	b.lease("more", 1)
	for s := range b.owned() {
		require.NoError(t, b.engine.DoneStream(context.Background(), s))
	}
	require.NoError(t, b.shutdown())
	for l := range a.engine.Leases() {
		require.NoError(t, l.Done(context.Background()))
	}
	h.announce(names("t", 200)...)
	a.holds(30)
	until(t, "the rest waits", func() bool { return waiting() == 170 })
	h.stateIs(state{Input: 200, Pending: 30, Leases: 30, Sessions: 1, Consumers: 1})
}

// TestTwoEnginesOnOneRegisterer: their counts add up, and what an engine holds is subtracted when it ends; nothing is left of the last
// one.
func TestTwoEnginesOnOneRegisterer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	registry := prometheus.NewRegistry()
	a := h.start("a", nil, engine.WithRegisterer(registry), engine.WithMaxStreams(10))
	b := h.start("b", nil, engine.WithRegisterer(registry), engine.WithMaxStreams(5))
	h.announce(names("s", 15)...)
	a.holds(10)
	b.holds(5)
	require.EqualValues(t, 15, metric(t, registry, "held"))
	require.EqualValues(t, 15, metric(t, registry, "acquisitions_total", "result", "acquired", "service", h.service))
	require.NoError(t, b.shutdown())
	require.EqualValues(t, 10, metric(t, registry, "held"))
	require.EqualValues(t, 15, metric(t, registry, "acquisitions_total", "result", "acquired"), "counters stay")
	require.NoError(t, a.shutdown())
	require.Zero(t, telemetry.Series(t, registry), "until the last one has ended")
	h.stateIs(state{Input: 15})
}

type contextKey struct{}

// TestValuesOfTheContextReachHandlersAndLeases: its end does not reach them, since the drain lets work finish.
func TestValuesOfTheContextReachHandlersAndLeases(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.announce("s")
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), contextKey{}, "mine"))
	defer cancel()
	type seen struct {
		handler, lease any
		err            error
	}
	got := make(chan seen, 2)
	look := func(ctx context.Context, n api.Notification) error {
		got <- seen{ctx.Value(contextKey{}), n.Lease.Context().Value(contextKey{}), errorOf(ctx, n.Lease.Context())}
		return nil
	}
	m := h.member("a", api.Funcs{Added: look, Releasing: look})
	go func() { m.ran <- m.engine.Run(ctx, m) }()
	require.Equal(t, seen{"mine", "mine", nil}, receive(t, "Added", got))
	cancel()
	require.Equal(t, seen{"mine", "mine", nil}, receive(t, "Releasing", got), "with nothing ended yet")
	require.NoError(t, receive(t, "Run returns", m.ran))
	h.stateIs(state{Input: 1})
}

func errorOf(contexts ...context.Context) error {
	i := slices.IndexFunc(contexts, func(c context.Context) bool { return c.Err() != nil })
	if i < 0 {
		return nil
	}
	return contexts[i].Err()
}
