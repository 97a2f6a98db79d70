package balance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// TestProcessWithoutTheRightsToBalance: it owns streams next to one that has them, and what one of them hands back the other gets.
func TestProcessWithoutTheRightsToBalance(t *testing.T) {
	t.Parallel()
	h := newStandalone(t)
	rules := preflight.Rules(h.service, h.layout.Partitions(), preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.ToSignal)
	h.Do(append([]string{"ACL", "SETUSER", "limited", "reset", "on", ">secret", "resetchannels"}, rules...)...)
	opt := h.opt
	opt.Username, opt.Password = "limited", "secret"
	a := h.joinAs("a", opt)
	h.announce(50)
	h.awaitOwned()
	h.until("it is logged", func() bool { return a.log.Has("the balance is off") })
	b := h.join("b")
	h.until("the other one counts it", func() bool {
		of := h.balance()
		return len(of.Processes) == 1 && of.Older == 1 && of.Weight == 2
	})
	h.until("both have some", func() bool { h.announceEach(1); return b.held() > 0 })
	h.checkOwners()
	require.NoError(t, a.stop())
	h.awaitOwned()
	require.Equal(t, len(h.announced), b.held())
	a = h.joinAs("a", opt)
	require.NoError(t, b.stop())
	h.awaitOwned()
	require.Equal(t, len(h.announced), a.held())
	h.checkOwners()
}

// TestSlotMovesUnderAFleet: the slot of a partition migrates, and stays half-way for a while. No stream moves because of it. What is on
// record goes along, and shares come out as before.
func TestSlotMovesUnderAFleet(t *testing.T) {
	t.Parallel()
	const streams, partition = 90, 0
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	h := onCluster(t, c)
	short := []engine.Option{engine.WithSessionTTL(4 * time.Second), engine.WithLeaseTTL(30 * time.Second)} // as long as it settles
	a, b := h.join("a", short...), h.join("b", short...)
	h.announce(streams)
	h.awaitOwned()
	h.awaitKnown(2, a, b)
	gained, released := a.gained()+b.gained(), len(a.released())+len(b.released())

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	slot := h.layout.Keys(partition).Slot
	from, err := c.Owner(ctx, slot)
	require.NoError(t, err)
	masters, err := c.Masters(ctx)
	require.NoError(t, err)
	to := masters[0]
	if to == from {
		to = masters[1]
	}
	move, err := c.BeginMove(ctx, slot, to)
	require.NoError(t, err)
	k := h.layout.Keys(partition)
	require.NoError(t, move.Keys(ctx, k.Fleet, k.Load), "the books stay behind")
	calls := func() float64 { return a.metric("script_duration_seconds", "script", "renew") }
	before := calls()
	h.until("renewals go on", func() bool { return calls() > before+10 })
	require.NoError(t, move.Finish(ctx))
	require.NoError(t, c.AwaitReady(ctx))

	h.until("the inspector sees all of it", func() bool {
		of, err := h.inspector.Balance(ctx)
		return err == nil && of.Streams == streams && of.Weight == 2 && len(of.Processes) == 2 && of.Processes[0].State == scan.BalanceShares
	})
	h.awaitKnown(2, a, b)
	require.Equal(t, gained, a.gained()+b.gained(), "no stream has another owner")
	require.Equal(t, released, len(a.released())+len(b.released()))
	require.Zero(t, a.lost()+b.lost())

	// It works on the new master, too.
	require.NoError(t, a.engine.Evacuate(ctx))
	h.awaitOwned()
	require.Equal(t, streams, b.held())
	h.checkOwners()
}
