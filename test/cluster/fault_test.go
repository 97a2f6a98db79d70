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
	// The default on a cluster. A failover with the node timeout of these takes some 4 s, and 2 s more until a client that
	// nobody tells has found out; on a busy machine twice that.
	longSession = engine.DefaultClusterSessionTTL
	// No failover comes in time for these.
	shortSession = 2 * time.Second
)

func ttl(session time.Duration) []engine.Option {
	return []engine.Option{engine.WithSessionTTL(session), engine.WithLeaseTTL(leaseTTL(session))}
}

func leaseTTL(session time.Duration) time.Duration { return session + 2*time.Second }

// onTime is what remains of a lease at least while every beat and every renewal is on time: of the session TTL, and of the
// lease TTL, less the margin and the time until the next one.
func onTime(session time.Duration) time.Duration {
	leases := leaseTTL(session)
	margin := func(ttl time.Duration) time.Duration { return max(ttl/10, 250*time.Millisecond) }
	return min(session-margin(session)-min(session/5, time.Second), leases-margin(leases)-leases/3)
}

// fault is one thing that happens to the master of some of the partitions, and what it does to leases there: nothing, if
// sessions outlast it. To leases on other masters none of them does anything.
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

// plainClient is one as people make it who know nothing of what an engine needs: it gives a node up after 10 s, and asks for
// the topology when it is told that it is wrong.
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
	// What is announced on other masters is taken all the while.
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

// logLateness logs how late beats and renewals of the watched partitions were at most. The wheel, and the look at what
// remains, may add a tenth of a second.
func (m *member) logLateness(t testing.TB, session time.Duration) {
	late := max(0, onTime(session)-m.leastLeft())
	t.Logf("%s: of leases on other masters %v remained at least, of %v: renewed late by %v at most",
		m.name, m.leastLeft().Round(time.Millisecond), onTime(session).Round(time.Millisecond), late.Round(time.Millisecond))
}

// tokens are those of all leases that are held.
func (h *harness) tokens() map[string]api.Token {
	out := make(map[string]api.Token)
	for s, l := range h.leases() {
		out[s] = l.Token()
	}
	return out
}

// leases are all that are held, by stream.
func (h *harness) leases() map[string]api.Lease {
	out := make(map[string]api.Lease)
	for _, m := range h.fleet {
		maps.Copy(out, m.held())
	}
	return out
}

// tokensRose holds that no stream is held under a lesser token than then.
func (h *harness) tokensRose(then map[string]api.Token) {
	h.t.Helper()
	for s, now := range h.tokens() {
		require.GreaterOrEqual(h.t, now, then[s], s)
	}
}

// A network that is cut between one process and one master: what that process holds there is disowned before others get it,
// and they do; all else stays as it is.
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
	}, "b to have all that a had on that master")
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
