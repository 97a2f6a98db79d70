package cluster

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	// The default on a cluster. With the node timeout of this cluster a failover takes about 4 s, and a client that is not
	// notified needs 2 s more to find out; on a busy machine twice that.
	longSession = engine.DefaultClusterSessionTTL
	// Too short for any failover.
	shortSession = 2 * time.Second
)

func ttl(session time.Duration) []engine.Option {
	return []engine.Option{engine.WithSessionTTL(session), engine.WithLeaseTTL(leaseTTL(session))}
}

func leaseTTL(session time.Duration) time.Duration { return session + 2*time.Second }

// onTime returns the least that remains of a lease while every beat and every renewal is on time: the session TTL or the lease
// TTL, minus the margin and the time until the next beat or renewal, whichever is less.
func onTime(session time.Duration) time.Duration {
	leases := leaseTTL(session)
	margin := func(ttl time.Duration) time.Duration { return max(ttl/10, 250*time.Millisecond) }
	return min(session-margin(session)-min(session/5, time.Second), leases-margin(leases)-leases/3)
}

// fault is something that happens to the master of some partitions, and its effect on leases there: none, if sessions outlast
// it. Leases on other masters are never affected.
type fault struct {
	session time.Duration
	lost    bool // the leases on that master may be lost
	happen  func(h *harness, victim, replica *servers.Server)
	moves   bool // the replica takes over
}

func TestFaults(t *testing.T) {
	failover := func(mode servers.FailoverMode) func(*harness, *servers.Server, *servers.Server) {
		return func(h *harness, _, replica *servers.Server) {
			h.step("failover "+string(mode), func(ctx context.Context) error { return h.cluster.Failover(ctx, replica, mode) })
		}
	}
	kill := func(h *harness, victim, _ *servers.Server) { h.kill(victim) }
	for name, f := range map[string]fault{
		"failover":                     {session: longSession, happen: failover(servers.Graceful), moves: true},
		"takeover":                     {session: longSession, happen: failover(servers.Takeover), moves: true},
		"master killed":                {session: longSession, happen: kill, moves: true},
		"master killed in mid-session": {session: shortSession, happen: kill, moves: true, lost: true},
		"master hangs": {session: longSession, moves: true, happen: func(h *harness, victim, _ *servers.Server) {
			require.NoError(h.t, victim.Pause())
		}},
		"replicas hang and die": {session: shortSession, happen: func(h *harness, victim, replica *servers.Server) {
			require.NoError(h.t, replica.Pause())
			h.kill(h.replica(h.otherThan(victim)))
			h.awaitTime(2 * shortSession)
		}},
	} {
		t.Run(name, func(t *testing.T) { f.run(newHarness(t)) })
	}
}

// plainClient returns a client with default settings, as a user makes it who does not know what an engine needs: it gives up on
// a node after 10 s, and refreshes the topology only after a redirection.
func (h *harness) plainClient() rueidis.Client {
	h.t.Helper()
	return h.cluster.Client(h.t)
}

func (f *fault) run(h *harness) {
	t := h.t
	a := h.join("a", ttl(f.session)...)
	b := h.joinOn("b", h.plainClient(), ttl(f.session)...)
	all := names(0, 600)
	h.announce(all...)
	h.awaitOwned(all...)
	victim := h.owner(0)
	mine, others := h.partitionsOf(victim)
	for _, m := range h.fleet {
		m.watch(others)
	}
	tokens := h.tokens()

	began := time.Now()
	f.happen(h, victim, h.replica(victim))
	if f.moves {
		h.step("a replica took over", func(ctx context.Context) error {
			_, err := h.cluster.AwaitOwner(ctx, h.layout.Keys(0).Slot, victim)
			return err
		})
	}
	// Announcements on other masters are taken all the while.
	fresh := h.in(names(600, 660), others)
	h.announce(fresh...)
	h.awaitOwned(fresh...)
	h.eventually(func() bool { return a.ready() == nil && b.ready() == nil }, "both to be ready")
	t.Logf("all partitions served again after %v", time.Since(began).Round(time.Millisecond))

	h.eventually(func() bool { return a.leastLeft() > 0 && b.leastLeft() > 0 }, "a look at all leases")
	for _, m := range h.fleet {
		m.logLateness(t, f.session)
		lost := m.lost()
		require.Empty(t, h.in(lost, others), "%s lost leases on other masters", m.name)
		if !f.lost {
			require.Empty(t, h.in(lost, mine), "%s lost leases on the master that failed", m.name)
		} else {
			t.Logf("%s lost %d leases on the master that failed", m.name, len(h.in(lost, mine)))
		}
		if !f.moves {
			require.Zero(t, m.events.Count(api.EventRedisUnreachable))
			require.Zero(t, m.events.Count(api.EventSettlingStarted))
		}
	}
	h.awaitOwned(all...)
	h.tokensRose(tokens)
	h.heal()
	h.finish()
}

// logLateness logs the greatest delay of beats and renewals in the watched partitions. The wheel and the sampling of what
// remains may add a tenth of a second.
func (m *member) logLateness(t testing.TB, session time.Duration) {
	late := max(0, onTime(session)-m.leastLeft())
	t.Logf("%s: leases on other masters had at least %v of %v left: renewed at most %v late",
		m.name, m.leastLeft().Round(time.Millisecond), onTime(session).Round(time.Millisecond), late.Round(time.Millisecond))
}

// tokens returns the tokens of all leases that are held.
func (h *harness) tokens() map[string]api.Token {
	out := make(map[string]api.Token)
	for s, l := range h.leases() {
		out[s] = l.Token()
	}
	return out
}

// leases returns all leases that are held, by stream.
func (h *harness) leases() map[string]api.Lease {
	out := make(map[string]api.Lease)
	for _, m := range h.fleet {
		maps.Copy(out, m.held())
	}
	return out
}

// tokensRose checks that no stream is held under a smaller token than before.
func (h *harness) tokensRose(then map[string]api.Token) {
	h.t.Helper()
	for s, now := range h.tokens() {
		require.GreaterOrEqual(h.t, now, then[s], s)
	}
}

// The network is cut between one process and one master. The streams that the process holds there are disowned before others
// get them, and others do get them. Everything else stays as it is.
func TestCutOffFromOneMaster(t *testing.T) {
	h := newHarness(t)
	a, b := h.join("a", ttl(shortSession)...), h.join("b", ttl(shortSession)...)
	all := names(0, 600)
	h.announce(all...)
	h.awaitOwned(all...)
	victim := h.owner(0)
	mine, others := h.partitionsOf(victim)
	theirs := h.in(all, others)
	ofA := a.held()
	a.watch(others)
	tokens := h.tokens()
	began := time.Now()
	a.cut.set(victim.Addr())
	h.eventually(func() bool {
		for _, s := range h.in(all, mine) {
			if _, ok := b.engine.Lease(s); !ok {
				return false
			}
		}
		return true
	}, "b to own everything that a had on that master")
	t.Logf("taken over after %v", time.Since(began).Round(time.Millisecond))
	require.ErrorIs(t, a.ready(), api.ErrNotReady)
	for _, s := range theirs {
		if l := ofA[s]; l != nil {
			require.Positive(t, l.Remaining(), s)
		}
	}
	require.Empty(t, h.in(a.lost(), others))
	require.Empty(t, b.lost())
	a.logLateness(t, shortSession)
	h.tokensRose(tokens)
	a.cut.set()
	h.eventually(func() bool { return a.ready() == nil }, "a to be ready again")
	h.finish()
}
