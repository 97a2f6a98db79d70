package behave_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
)

// TestDoneCalledOneByOneFromHandlersIsBatched: the scripts sent, including those that acquire the streams, are at most a tenth
// of the calls. The server counts them; no clock is involved. A batch consists of the calls that workers wait for, which
// several partitions would have to share.
func TestDoneCalledOneByOneFromHandlersIsBatched(t *testing.T) {
	many := on.streams
	h := newHarnessOf(t, 1)
	h.announce(names("s", many)...)
	before := h.scripts(t)
	m := h.start("a", api.Funcs{Added: func(ctx context.Context, n api.Notification) error { return n.Lease.Done(ctx) }})
	untilEvery(t, 50*time.Millisecond, "all are done", func() bool { return m.metric("endings_total", "kind", "done", "result", "ok") == float64(many) })
	calls := h.scripts(t) - before
	t.Logf("%d scripts for %d calls of Done", calls, many)
	require.LessOrEqual(t, calls, int64(many/10))
	require.Equal(t, many, m.notified(api.Added))
	require.Zero(t, m.notified(api.Disowned))
	h.stateIs(state{Sessions: 1, Consumers: 1})
}

// TestBlockedWorkersLoseNoLease: every worker is blocked for three lease TTLs while up to 10,000 streams are held. Renewal does not
// wait for handlers.
func TestBlockedWorkersLoseNoLease(t *testing.T) {
	const ttl = 4 * time.Second // far longer than a busy machine may pause
	const workers = engine.DefaultWorkers
	many := on.streams
	h := newHarness(t)
	streams := names("s", many)
	h.announce(streams...)
	release := make(chan struct{})
	m := h.start("a", api.Funcs{Superseded: func(context.Context, api.Notification) error {
		<-release
		return nil
	}}, engine.WithLeaseTTL(ttl))
	defer func() { // also if the test fails, or the engine could not end
		select {
		case <-release:
		default:
			close(release)
		}
	}()
	m.holds(many)

	// Handlers block on notifications of held streams; if every Added blocked, reading would pause.
	h.announce(streams[:2*workers]...)
	until(t, "all workers are blocked", func() bool { s := m.engine.Stats(); return s.Busy == workers && s.Queued == workers })
	blocked, kept := h.serverTime(), m.metric("renewals_total", "result", "kept")
	untilEvery(t, 100*time.Millisecond, "three TTLs have passed and each lease was renewed nine times on average", func() bool {
		return h.serverTime().Sub(blocked) > 3*ttl && m.metric("renewals_total", "result", "kept") >= kept+float64(9*many)
	})
	require.Equal(t, workers, m.engine.Stats().Busy, "still blocked")
	require.Equal(t, many, m.engine.Stats().Held)
	require.Len(t, h.held(), many)
	require.Zero(t, m.metric("disowned_total"))
	require.Zero(t, m.metric("sessions_lost_total"))
	require.Zero(t, m.metric("renewals_total", "result", "lost"))
	for s, x := range m.owned() {
		require.Positive(t, x.lease.Remaining(), "%s is held", s)
		require.Len(t, x.tokens, 1)
	}
	require.Zero(t, m.notified(api.Disowned))

	close(release)
	require.NoError(t, m.shutdown())
	require.Zero(t, m.notified(api.Disowned))
	h.stateIs(state{Input: many + 2*workers})
}
