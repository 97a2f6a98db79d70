package scan

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: a read of the dead consumer was still blocked on the server, and gets what its own recovery requeued. The consumer stays
// until that is recovered, too; no entry is ever lost with it.
func TestSweepLeavesAConsumerThatWasGivenMore(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.kill(dead, time.Minute)
	r := h.recovery(ann)
	_, err := r.runRecover(h.ctx, h.items(r))
	require.NoError(t, err)
	h.read(dead, 1)
	left, err := r.sweep(h.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	require.Contains(t, h.Consumers(h.keys.Input, h.layout.Group()), dead)
	require.Zero(t, h.Num("EXISTS", h.keys.Recover(dead)), "another consumer may continue at once")
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, h.recover(bea))

	// After its removal: a read creates the consumer again, without a session. It is adopted, and then recovered.
	h.read(dead, 1)
	require.Empty(t, h.listDead(ann, false))
	require.Empty(t, h.listDead(ann, true))
	h.score(dead, "1000.5")
	require.Equal(t, []string{dead}, h.listDead(ann, false))
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, h.recover(ann))
	require.Empty(t, h.Stream(h.keys.Input)[0].FieldValues[lease.FieldCrashes][1:], "counted once, when it was held")
}

func TestSweepOfTheLivingAndTheUnknown(t *testing.T) {
	h := newHarness(t).withDead()
	left, err := h.recovery(ann).sweep(h.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left, "it lives")
	h.Do("ZREM", h.keys.Sessions, dead)
	left, err = h.recovery(ann).sweep(h.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left, "it is unknown")
	require.Contains(t, h.Consumers(h.keys.Input, h.layout.Group()), dead)
	h.score(dead, "0")
	left, err = h.recovery(ann).sweep(h.ctx)
	require.NoError(t, err)
	require.Zero(t, left)
	require.NotContains(t, h.Consumers(h.keys.Input, h.layout.Group()), dead)
}

// Trace: rolling deployments leave a consumer in the group for every process there ever was.
func TestHundredDeadConsumersWithNothingPendingAreRemoved(t *testing.T) {
	h := newHarness(t)
	for i := range 100 {
		h.open(fmt.Sprint("old.", i))
		h.kill(fmt.Sprint("old.", i), time.Minute)
	}
	h.owned(bea, "s")
	names := h.listDead(ann, true)
	require.Len(t, names, 100)
	for _, name := range names {
		done, err := h.store.Recover(h.ctx, 0, ann, name)
		require.NoError(t, err)
		require.Equal(t, Recovered{Removed: true}, done)
	}
	require.ElementsMatch(t, []string{ann, bea}, h.Consumers(h.keys.Input, h.layout.Group()))
	require.Empty(t, h.listDead(ann, true))
	require.Equal(t, 1, h.pending(bea))
}

// Legacy consumers, of the library that this one replaces, have no sessions: they are adopted, and what they left is recovered as
// usual, without counting a crash.
func TestLegacyConsumerIsAdoptedAndRecovered(t *testing.T) {
	const legacy = lease.LegacyPrefix + "pod-1"
	h := newHarness(t)
	id := h.announce("s")
	h.read(legacy, 1)
	h.Do("XCLAIM", h.keys.Input, h.layout.Group(), legacy, "0", id, "RETRYCOUNT", "5")
	require.Empty(t, h.listDead(ann, true))
	h.score(legacy, "1000.5")
	require.Equal(t, []string{legacy}, h.listDead(ann, false))
	done, err := h.store.Recover(h.ctx, 0, ann, legacy)
	require.NoError(t, err)
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, done)
	require.NotContains(t, h.Stream(h.keys.Input)[0].FieldValues, lease.FieldCrashes)
}
