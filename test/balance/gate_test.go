package balance

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// TestSecondProcessGetsWhatIsAnnounced: the first one holds all there was, and reads no more. It may get one stream in each partition, by a
// read that waited already, and one more with each read of what nobody took, which a busy machine may cause: each finds at most one.
func TestSecondProcessGetsWhatIsAnnounced(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		const old, fresh = 60, 40
		a := h.join("a")
		h.announce(old)
		h.awaitOwned()
		b := h.join("b")
		h.awaitKnown(2, a, b)
		h.announceEach(fresh)
		leftovers := int(a.metric("leftover_reads_total"))
		require.LessOrEqual(t, a.held()-old, h.layout.Partitions()+leftovers)
		require.Equal(t, old+fresh, a.held()+b.held())
		require.Empty(t, a.released(), "what is held stays")
		h.checkOwners()
	})
}

// TestDrainOfOneOfThreeLeavesTheOthersEven: each of them takes no more than its share of all, but for what nobody took in time.
func TestDrainOfOneOfThreeLeavesTheOthersEven(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		const streams, leftover = 120, 64
		a, b, c := h.join("a"), h.join("b"), h.join("c")
		for len(h.announced) < streams { // by and by, so that none of them gets much of what others were too slow for
			h.announce(12)
			h.awaitOwned()
			h.awaitKnown(3, a, b, c)
		}
		t.Logf("%d, %d and %d", a.held(), b.held(), c.held())
		require.NoError(t, c.stop())
		require.Zero(t, c.held())
		h.checkOwners()
		for _, err := range c.released() {
			require.ErrorIs(t, err, api.ErrReleasing)
			require.ErrorIs(t, err, api.ErrDraining)
		}
		for _, m := range []*member{a, b} {
			// 5 % and a stream more than its share, and in each partition one that a read brought which waited.
			most := int(math.Ceil(1.05*streams/2+1)) + 2*h.layout.Partitions()
			reads := int(m.metric("leftover_reads_total"))
			t.Logf("%s holds %d, after %d reads of what was left over", m.name, m.held(), reads)
			require.LessOrEqual(t, m.held(), most+leftover*reads, m.name)
			require.Empty(t, m.released(), m.name)
		}
	})
}

// TestInspectorAgreesWithTheEngines: what it says of each process is what that holds.
func TestInspectorAgreesWithTheEngines(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		const streams = 90
		fleet := []*member{h.join("a"), h.join("b"), h.join("c")}
		h.announce(streams)
		h.awaitOwned()
		agree := func() bool {
			b := h.balance()
			fine := len(b.Processes) == len(fleet) && b.Streams == streams && b.Away == 0 && b.Older == 0 && b.Weight == 3 &&
				math.Abs(b.Fair-streams/3) < .01 && b.FrozenUntil.IsZero()
			for _, m := range fleet {
				p := h.process(m)
				fine = fine && p.Held == m.held() && p.Weight == 1 && p.ConsumerID == m.name && !p.Dead && p.State == scan.BalanceShares &&
					math.Abs(p.Fair-streams/3) < .01 && math.Abs(p.Fill-float64(m.held())) < .01
			}
			return fine
		}
		h.until("they agree", agree)

		// What a process holds which does not share is nobody's share.
		fleet[0].engine.Pause()
		h.until("what the paused one holds is away", func() bool {
			b, p := h.balance(), h.process(fleet[0])
			return p.State == scan.BalancePaused && p.Held == fleet[0].held() && p.Fair == 0 && b.Away == p.Held &&
				b.Streams == streams-p.Held && b.Weight == 2
		})
		fleet[0].engine.Resume()
		h.until("they agree again", agree)
		require.Empty(t, fleet[0].released())
		require.NoError(t, fleet[2].stop())
		h.until("who has left is not there any more", func() bool { return len(h.balance().Processes) == 2 })
		h.checkOwners()
	})
}

// TestEvacuateMovesAll: another process gets everything, nothing is lost, and the owner hears why.
func TestEvacuateMovesAll(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		const streams = 150
		a := h.join("a")
		h.announce(streams)
		h.awaitOwned()
		b := h.join("b")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, a.engine.Evacuate(ctx))
		require.Zero(t, a.held())
		h.awaitOwned()
		require.Equal(t, streams, b.held())
		// All that it held, and what reads brought that waited already.
		require.GreaterOrEqual(t, len(a.released()), streams)
		require.LessOrEqual(t, len(a.released()), streams+h.layout.Partitions())
		for _, err := range a.released() {
			require.ErrorIs(t, err, api.ErrReleasing)
			require.ErrorIs(t, err, api.ErrDraining)
		}
		require.Zero(t, a.lost())
		require.NoError(t, a.engine.Ready(ctx), "it is empty because that is wanted")
		h.awaitState(a, scan.BalanceEvacuating)
		h.checkOwners()

		a.engine.Resume()
		h.awaitState(a, scan.BalanceShares)
		h.until("it takes streams again", func() bool { h.announceEach(1); return a.held() > 0 })
		h.checkOwners()
	})
}
