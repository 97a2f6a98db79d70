package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// A lost session takes the leases of its partition with it and no others. A new one is opened under a new name, and everything
// that was pending comes back.
func TestSessionLost(t *testing.T) {
	for name, lose := range map[string]func(e *testEngine, p *fakePartition){
		"closed": func(e *testEngine, p *fakePartition) { p.sessions[e.consumer(0)] = 0 },
		"past":   func(e *testEngine, p *fakePartition) { p.sessions[e.consumer(0)] = nowMilli() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				const n = 400
				h.server.announce(streams(n)...)
				e := h.start(nil)
				advance(5 * time.Second)
				counts := e.table.Counts(nil)
				kept := map[*lease.Lease]bool{}
				for _, l := range e.table.All() {
					if l.Partition() == 1 {
						kept[l] = true
					}
				}
				old := e.consumer(0)
				h.server.with(0, func(p *fakePartition) { lose(e, p) })
				advance(e.cfg.beat)
				require.Len(t, e.notified(api.Disowned), counts[0])
				for _, x := range e.notified(api.Disowned) {
					require.ErrorIs(t, x.Err, api.ErrSessionLost)
					require.ErrorIs(t, context.Cause(x.Lease.Context()), api.ErrSessionLost)
					require.Zero(t, h.layout.Of(x.Stream))
				}
				advance(10 * time.Second)
				require.NotEqual(t, old, e.consumer(0))
				require.Equal(t, n, e.Stats().Held)
				require.Len(t, e.notified(api.Added), n+counts[0])
				for l := range kept {
					require.Positive(t, l.Remaining(), "partition 1 is not affected")
				}
				for _, x := range e.notified(api.Added) {
					require.Zero(t, x.Lease.Attempt(), "no retry is counted")
				}
				h.server.with(0, func(p *fakePartition) {
					require.NotContains(t, p.sessions, old)
					require.NotContains(t, p.consumers, old)
				})
				require.Equal(t, 2, e.Stats().Live)
			})
		})
	}
}

// A session that vanished is recreated by the next beat, and every lease is checked: those whose keys are still there
// continue.
func TestSessionVanished(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 400
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(5 * time.Second)
		old := e.consumer(0)
		h.server.with(0, func(p *fakePartition) { clear(p.sessions) })
		e.fake.takeCalls()
		advance(2 * time.Second)
		renewed := sumCalls(e.fake.takeCalls(), "renew")
		require.GreaterOrEqual(t, renewed, n)
		require.Equal(t, n, e.Stats().Held)
		require.Empty(t, e.notified(api.Disowned))
		require.Equal(t, old, e.consumer(0))
	})
}

// Everything that the service has is deleted: nothing hangs, the group is recreated, and what is announced from then on is
// acquired.
func TestEngineContinuesAfterAFlush(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const n = 400
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(5 * time.Second)
		for p := range 2 {
			h.server.with(p, func(p *fakePartition) { p.clear() })
		}
		advance(30 * time.Second)
		require.Zero(t, e.Stats().Held)
		require.Len(t, e.notified(api.Disowned), n, "each owner is notified once")
		h.server.announce(streams(n)...)
		advance(30 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.NoError(t, e.Ready(context.Background()))
	})
}

// The group is deleted and cannot be recreated for a while: what is held stays held.
//
// Trace: since the group was to be recreated first, nothing was renewed, so all leases were lost to a key that only reading
// needs.
func TestRenewalDoesNotWaitForTheGroup(t *testing.T) {
	for _, fault := range []fakeFault{faultError, faultOOM} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			const n = 100
			h.server.announce(streams(n)...)
			e := h.start(nil)
			advance(5 * time.Second)
			e.fake.failOnly(fault, "open")
			h.server.with(0, func(p *fakePartition) { p.group = false })
			e.fake.takeCalls()
			advance(2 * time.Minute)
			require.Equal(t, n, e.Stats().Held)
			require.Empty(t, e.notified(api.Disowned))
			require.ErrorIs(t, e.Ready(context.Background()), api.ErrNotReady)
			require.LessOrEqual(t, mostPerSecond(e.fake.takeCalls(), "open"), 25, "it does not spin")
			e.fake.setFault(nil)
			advance(10 * time.Second)
			h.server.announce("new")
			advance(5 * time.Second)
			e.held("new")
		})
	}
}

// The first consumer of a new group has nobody to wait for. On a server that has changed, a consumer waits for a session TTL,
// and asks no more often than needed meanwhile.
func TestNothingIsTakenWhileSettling(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(5 * time.Second)
		require.Zero(t, e.Stats().Settling)
		h.server.restart(false)
		advance(2 * e.cfg.beat)
		require.Equal(t, 1, e.Stats().Settling)
		h.server.announce(streams(300)...)
		e.fake.takeCalls()
		advance(e.cfg.sessionTTL - 3*e.cfg.beat)
		require.Zero(t, e.Stats().Held)
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "acquire"), 5*2*8, "each batch four times per second")
		advance(3 * e.cfg.beat)
		require.Equal(t, 300, e.Stats().Held)
		require.Subset(t, e.events(), []api.EventKind{api.EventSettlingStarted, api.EventSettlingEnded})
		require.NotContains(t, e.events(), api.EventSessionLost)
	})
}

// A restart that keeps all data loses nothing; all leases are renewed at once.
func TestServerChangeRenewsEverythingAtOnce(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const n = 2000
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(15 * time.Second)
		h.server.restart(false)
		e.fake.takeCalls()
		advance(2 * e.cfg.beat)
		renewed := map[string]bool{}
		for _, c := range e.fake.takeCalls() {
			if c.op == "renew" {
				for _, entry := range c.entries {
					renewed[entry] = true
				}
			}
		}
		require.Len(t, renewed, n)
		advance(time.Minute)
		require.Equal(t, n, e.Stats().Held)
		require.Empty(t, e.notified(api.Disowned))
	})
}

// A server has forgotten leases, though not the entries: the leases are set again under their tokens.
func TestForgottenLeasesAreVerified(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 600
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(15 * time.Second)
		tokens := map[string]uint64{}
		for _, s := range streams(n) {
			tokens[s] = h.server.leaseOf(s).token
		}
		h.server.restart(false)
		h.server.with(0, func(p *fakePartition) { clear(p.leases); p.token = 0 })
		advance(5 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.Empty(t, e.notified(api.Disowned))
		for _, s := range streams(n) {
			require.Equal(t, tokens[s], h.server.leaseOf(s).token)
		}
	})
}

// A server has forgotten everything: what was held is disowned, for the entries are gone. The error distinguishes that from a
// loss after which the stream is handed out again.
func TestForgottenEntriesAreDisowned(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 600
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(15 * time.Second)
		h.server.restart(true)
		advance(30 * time.Second)
		require.Zero(t, e.Stats().Held)
		require.Len(t, e.notified(api.Disowned), n)
		for _, x := range e.notified(api.Disowned) {
			require.ErrorIs(t, x.Err, api.ErrAnnouncementLost)
			require.ErrorIs(t, context.Cause(x.Lease.Context()), api.ErrAnnouncementLost)
			require.ErrorIs(t, x.Lease.Done(context.Background()), api.ErrAnnouncementLost)
		}
		h.server.announce("new")
		advance(5 * time.Second)
		require.Greater(t, e.held("new").Token(), e.notified(api.Added)[n-1].Token, "no token is granted twice")
	})
}

// After a change of server, a lease lasts no longer than its session would have without the change, until a renewal succeeds
// that was sent after the change was seen.
func TestServerChangeCapsDeadlines(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 100
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(15 * time.Second)
		// Beats succeed, and extend the session; every renewal and verification fails.
		before := time.Now().Add(e.session(0).Remaining())
		var changed atomic.Bool
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if changed.Load() && (c.op == "renew" || c.op == "verify") {
				return faultError
			}
			if !changed.Load() && c.op == "renew" {
				return fakeFault{skip: true, err: errCut}
			}
			return fakeFault{}
		})
		h.server.restart(false)
		changed.Store(true)
		// Renewals carry the beat. If none arrives, beats alone keep the session.
		advance(time.Until(before) + 2*time.Second)
		require.Len(t, e.notified(api.Disowned), n)
		for _, x := range e.notified(api.Disowned) {
			require.False(t, x.at.After(before.Add(e.cfg.beat)))
		}
	})
}
