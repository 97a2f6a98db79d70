package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// unconfirmed requires that so many leases of each partition are not confirmed, by Stats and by the gauge.
func (e *testEngine) unconfirmed(want ...int) {
	e.h.t.Helper()
	total := 0
	for p, n := range want {
		require.Equal(e.h.t, n, e.counted("unconfirmed", "partition", fmt.Sprint(p)), "partition %d", p)
		total += n
	}
	require.Equal(e.h.t, total, e.Stats().Unconfirmed)
}

// A server changes, and answers beats but no renewals. All leases that it may have forgotten are unconfirmed until it answers a
// renewal, or, where it has forgotten them, a verification. Those of the other partition are confirmed meanwhile.
func TestUnconfirmedUntilRenewedOrVerified(t *testing.T) {
	for name, forgotten := range map[string]bool{"renewed": false, "verified": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				const n = 400
				h.server.announce(streams(n)...)
				e := h.start(nil)
				advance(15 * time.Second)
				e.unconfirmed(0, 0)
				counts := e.table.Counts(nil)
				e.fake.failWhen(faultError, func(c *fakeCall) bool {
					if forgotten {
						return c.op == "verify" && c.partition == 0
					}
					// One has to be answered for the change to be seen: a renewal or, if none is due, a beat.
					return c.op == "renew" && c.partition == 0 && e.table.Unconfirmed(nil)[0] > 0
				})
				h.server.restart(false)
				if forgotten {
					h.server.forgetLeases(0)
				}
				advance(2 * e.cfg.beat)
				e.unconfirmed(counts[0], 0)
				advance(time.Second)
				e.unconfirmed(counts[0], 0)
				e.fake.setFault(nil)
				advance(2 * time.Second)
				e.unconfirmed(0, 0)
				e.kept(n)
			})
		})
	}
}

// What is off the table is not unconfirmed any more, however it left.
func TestUnconfirmedUntilOffTheTable(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 10
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(15 * time.Second)
		e.fake.failWhen(faultError, func(c *fakeCall) bool { return c.op == "renew" && e.table.Unconfirmed(nil)[0] > 0 })
		h.server.restart(false)
		advance(2 * e.cfg.beat)
		e.unconfirmed(n)
		require.NoError(t, e.held(streams(n)[0]).Done(context.Background()))
		e.unconfirmed(n - 1)
		h.server.with(0, func(p *fakePartition) { p.sessions[e.consumer(0)] = 0 })
		e.fake.failOnly(faultError, "acquire")
		advance(2 * e.cfg.beat)
		require.Len(t, e.notified(api.Disowned), n-1)
		e.unconfirmed(0)
		e.fake.setFault(nil)
		advance(30 * time.Second)
		require.Equal(t, n-1, e.Stats().Held)
		e.unconfirmed(0)
	})
}

// A server that settles does not have two leases. One it has forgotten: its owner keeps it. The other it had confirmed, so somebody
// has deleted it since: its owner loses it, as at any other time, and it is handed out again.
func TestLeaseDeletedAfterItWasConfirmedIsLost(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 10
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(15 * time.Second)
		forgotten, deleted := e.held(streams(n)[0]), e.held(streams(n)[1])
		h.server.restart(false)
		h.server.with(0, func(p *fakePartition) { delete(p.leases, forgotten.Key()) })
		advance(2 * time.Second)
		e.unconfirmed(0)
		require.NotNil(t, h.server.leaseOf(forgotten.Stream()))
		require.Equal(t, 1, e.Stats().Settling)
		h.server.with(0, func(p *fakePartition) { delete(p.leases, deleted.Key()) })
		e.fake.takeCalls()
		e.ResetTopology() // renews everything now
		advance(2 * time.Second)
		require.Equal(t, 1, e.Stats().Settling)
		require.Zero(t, countCalls(e.fake.takeCalls(), "verify"))
		lost := e.notified(api.Disowned)
		require.Len(t, lost, 1)
		require.Equal(t, deleted.Stream(), lost[0].Stream)
		require.ErrorIs(t, lost[0].Err, errLeaseTaken)
		advance(30 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.Greater(t, e.held(deleted.Stream()).Token(), deleted.Token())
		require.Positive(t, forgotten.Remaining())
	})
}
