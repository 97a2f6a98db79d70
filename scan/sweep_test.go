package scan

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: a read of the dead consumer was still blocked on the server, and is given what its own recovery queued again. The
// consumer stays until that is recovered too; no entry is ever destroyed with it.
func TestSweepLeavesAConsumerThatWasGivenMore(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	r := w.at(ann)
	_, err := r.runRecover(w.ctx, w.lent(r))
	require.NoError(t, err)
	w.read(dead, 1)
	left, err := r.sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	require.Contains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
	require.Zero(t, w.Num("EXISTS", w.keys.Recover(dead)), "somebody may go on at once")
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, w.recover(bea))

	// After its removal: a read makes the consumer anew, without a session. It is adopted, and then recovered.
	w.read(dead, 1)
	require.Empty(t, w.list(ann, false))
	require.Empty(t, w.list(ann, true))
	w.score(dead, "1000.5")
	require.Equal(t, []string{dead}, w.list(ann, false))
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, w.recover(ann))
	require.Empty(t, w.Stream(w.keys.Input)[0].FieldValues[lease.FieldCrashes][1:], "counted once, when it was held")
}

func TestSweepOfTheLivingAndTheUnknown(t *testing.T) {
	w := newWard(t).mortal()
	left, err := w.at(ann).sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left, "it lives")
	w.Do("ZREM", w.keys.Sessions, dead)
	left, err = w.at(ann).sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left, "it is unknown")
	require.Contains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
	w.score(dead, "0")
	left, err = w.at(ann).sweep(w.ctx)
	require.NoError(t, err)
	require.Zero(t, left)
	require.NotContains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
}

// Trace: rolling deployments leave a consumer in the group for every process there ever was.
func TestHundredDeadConsumersWithNothingPendingAreRemoved(t *testing.T) {
	w := newWard(t)
	for i := range 100 {
		w.open(fmt.Sprint("old.", i))
		w.kill(fmt.Sprint("old.", i), time.Minute)
	}
	w.owned(bea, "s")
	names := w.list(ann, true)
	require.Len(t, names, 100)
	for _, name := range names {
		done, err := w.store.Recover(w.ctx, 0, ann, name)
		require.NoError(t, err)
		require.Equal(t, Recovered{Removed: true}, done)
	}
	require.ElementsMatch(t, []string{ann, bea}, w.Consumers(w.keys.Input, w.layout.Group()))
	require.Empty(t, w.list(ann, true))
	require.Equal(t, 1, w.pending(bea))
}

// Consumers of the library that this one follows have no sessions: they are adopted, and what they left is recovered like
// anybody's, without a crash held against it.
func TestForeignConsumerIsAdoptedAndRecovered(t *testing.T) {
	const foreign = lease.LegacyPrefix + "pod-1"
	w := newWard(t)
	id := w.announce("s")
	w.read(foreign, 1)
	w.Do("XCLAIM", w.keys.Input, w.layout.Group(), foreign, "0", id, "RETRYCOUNT", "5")
	require.Empty(t, w.list(ann, true))
	w.score(foreign, "1000.5")
	require.Equal(t, []string{foreign}, w.list(ann, false))
	done, err := w.store.Recover(w.ctx, 0, ann, foreign)
	require.NoError(t, err)
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, done)
	require.NotContains(t, w.Stream(w.keys.Input)[0].FieldValues, lease.FieldCrashes)
}
