package faults

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// watched is a harness whose master is watched by sentinels, and two members that share its streams.
type watched struct {
	*harness
	sentinel *servers.Sentinel
	a, b     *member
}

// sentinelTTL is longer than a failover takes here, about 3 s, even on a machine that is busy with other things.
const sentinelTTL = 10 * time.Second

// oneMaster makes a master that lost its replicas refuse writes, as the documentation demands: one that was replaced, comes back
// and does not know it yet would accept them.
var oneMaster = []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "3"}

func newWatched(t *testing.T, streams []string, args ...string) *watched {
	s := servers.NewSentinel(t, servers.SentinelOptions{Server: servers.Options{Args: args}})
	w := &watched{harness: harnessOn(t, s.Servers()[0]), sentinel: s}
	w.Client = s.Client(t)
	ttl := []engine.Option{engine.WithSessionTTL(sentinelTTL), engine.WithLeaseTTL(2 * sentinelTTL)}
	w.a = w.join("a", s.ClientOption(), ttl...)
	w.b = w.join("b", s.ClientOption(), ttl...)
	w.eventually(func() bool { return w.a.ready() == nil && w.b.ready() == nil }, "both to be ready")
	w.announce(streams...)
	w.awaitOwned(streams...)
	// A failover right after a write loses it, which is another test.
	require.NoError(t, servers.AwaitInStep(context.Background(), w.server, s.Servers()[1:]...))
	return w
}

// leases returns the leases of both.
func (w *watched) leases() map[string]api.Lease {
	all := w.a.given()
	maps.Copy(all, w.b.given())
	return all
}

// failedOver waits until both members have settled on another master.
func (w *watched) failedOver(old *servers.Server) {
	w.T.Helper()
	_, err := w.sentinel.AwaitMaster(context.Background(), old)
	require.NoError(w.T, err)
	for _, m := range w.fleet {
		w.eventually(func() bool { return m.saw(api.EventSettlingStarted) }, "%s to settle", m.name)
		w.eventually(func() bool { return m.saw(api.EventSettlingEnded) && m.ready() == nil }, "%s to have settled", m.name)
	}
	w.eventually(func() bool { return w.Try("PERSIST", "none").Error() == nil }, "a master for the test")
}

// stayed checks that leases are still held, by their owners and on the new master.
func (w *watched) stayed(leases map[string]api.Lease) {
	w.T.Helper()
	requireHeld(w.T.(*testing.T), w.a, leases)
	requireHeld(w.T.(*testing.T), w.b, leases)
	w.eventually(func() bool { return w.a.engine.Stats().Unconfirmed+w.b.engine.Stats().Unconfirmed == 0 }, "all to be confirmed")
	for s := range leases {
		require.EqualValues(w.T, 1, w.Num("EXISTS", w.keys.Lease(s)), s)
	}
}

// another announces a stream that nobody held before. Its token is greater than all previous ones.
func (w *watched) another(stream string, before map[string]api.Lease) {
	w.T.Helper()
	w.announce(stream)
	w.awaitOwned(stream)
	token := w.leases()[stream].Token()
	for s, l := range before {
		require.Greater(w.T, token, l.Token(), s)
	}
}

// Trace: the master is replaced, by request or because it failed, and comes back as a replica. A failover shorter than the
// session TTL costs no lease. Clients connected to the old master leave it.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		down func(*watched, *servers.Server) error
		back func(*watched, *servers.Server) error
	}{
		"planned": {
			down: func(w *watched, _ *servers.Server) error { _, err := w.sentinel.Failover(ctx); return err },
			back: func(*watched, *servers.Server) error { return nil },
		},
		"killed": {
			down: func(_ *watched, m *servers.Server) error { return m.Kill() },
			back: func(w *watched, m *servers.Server) error { return w.sentinel.Restart(ctx, m) },
		},
		"stopped": {
			down: func(_ *watched, m *servers.Server) error { return m.Pause() },
			back: func(_ *watched, m *servers.Server) error { return m.Resume() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t, names(40), oneMaster...)
			leases := w.leases()
			old := w.server
			require.NoError(t, c.down(w, old))
			w.failedOver(old)
			w.stayed(leases)
			w.another("while it is away", leases)

			require.NoError(t, c.back(w, old))
			require.NoError(t, w.sentinel.AwaitReady(ctx))
			w.another("when it is back", leases)
			w.stayed(leases)
			w.finish(append(names(40), "while it is away", "when it is back")...)
		})
	}
}

// Trace: the master is killed after its replicas were cut off, so the last writes are lost: acquired streams, and their
// announcements. Their owners lose them; all other streams stay held. Announced again, they are owned under greater tokens.
func TestSentinelFailoverLosesWrites(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWatched(t, names(40))
	kept := w.leases()
	old := w.server
	for _, s := range w.sentinel.Servers()[1:] {
		require.NoError(t, s.Pause())
	}
	// Writes under way to a stopped replica would arrive later.
	_, err := old.Call(ctx, "CLIENT", "KILL", "TYPE", "replica")
	require.NoError(t, err)
	late := []string{"late-1", "late-2", "late-3"}
	w.announce(late...)
	w.awaitOwned(late...)
	lost := w.leases()
	maps.DeleteFunc(lost, func(s string, _ api.Lease) bool { return kept[s] != nil })
	require.Len(t, lost, len(late))
	require.NoError(t, old.Kill())
	for _, s := range w.sentinel.Servers()[1:] {
		require.NoError(t, s.Resume())
	}

	w.failedOver(old)
	for s, l := range lost {
		w.eventually(func() bool {
			_, byA := w.a.disowning(l)
			_, byB := w.b.disowning(l)
			return byA || byB
		}, "Disowned of %s", s)
		require.Zero(t, l.Remaining())
		require.ErrorIs(t, context.Cause(l.Context()), api.ErrLeaseLost)
	}
	w.stayed(kept)
	for _, s := range late {
		w.another(s, lost)
	}
	w.finish(append(names(40), late...)...)
}
