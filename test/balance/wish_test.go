package balance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// TestWishesAreObeyed: an operator pauses a process, empties it, gives it another weight, and stops all moving, by an inspector alone.
func TestWishesAreObeyed(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		const streams = 60
		a, b := h.join("a"), h.join("b")
		h.announce(streams)
		h.awaitOwned()

		// Paused, it keeps what it has, and may get one more in each partition, by a read that waited already.
		h.ask(scan.Wish{Kind: scan.WishPause, Consumer: "a", Reason: "a look at its memory"})
		h.awaitState(a, scan.BalancePaused)
		before := a.held()
		h.announceEach(20)
		require.GreaterOrEqual(t, a.held(), before)
		require.LessOrEqual(t, a.held(), before+h.layout.Partitions())
		require.Empty(t, a.released())
		h.until("it logs why", func() bool { return a.log.Has("a look at its memory") })

		// Emptied, it goes on running.
		h.ask(scan.Wish{Kind: scan.WishDrain, Consumer: "a"})
		h.awaitState(a, scan.BalanceEvacuating)
		h.until("it is empty", func() bool { return a.held() == 0 && b.held() == len(h.announced) })
		for _, err := range a.released() {
			require.ErrorIs(t, err, api.ErrDraining)
		}
		require.Equal(t, float64(len(a.released())), a.metric("moves_total", "reason", "wish"))
		h.withdraw(scan.WishDrain, "a")
		h.awaitState(a, scan.BalanceShares)

		h.ask(scan.Wish{Kind: scan.WishWeight, Consumer: "a", Weight: 3})
		h.until("it has the weight", func() bool {
			of := h.balance()
			return h.process(a).Weight == 3 && of.Weight == 4 && a.metric("balance_weight") == 3
		})
		h.until("the other one has a share of a quarter", func() bool {
			fair := b.metric("balance_fair")
			return fair > float64(len(h.announced))/4-.01 && fair < float64(len(h.announced))/4+.01
		})
		h.withdraw(scan.WishWeight, "a")
		h.until("it has its own weight", func() bool { return h.process(a).Weight == 1 && a.metric("balance_weight") == 1 })

		h.ask(scan.Wish{Kind: scan.WishFreeze})
		until := h.balance().FrozenUntil
		require.WithinRange(t, until, time.UnixMilli(h.now()), time.UnixMilli(h.now()).Add(time.Hour))
		h.until("both heard of it", func() bool {
			return a.log.Has("kind=freeze") && b.log.Has("kind=freeze")
		})
		h.withdraw(scan.WishFreeze, "")
		require.Zero(t, h.balance().FrozenUntil)
		require.Zero(t, a.lost()+b.lost())
		h.checkOwners()
	})
}

// now returns the clock of the server that has the wishes, in ms.
func (h *harness) now() int64 {
	h.T.Helper()
	at, err := h.Try("EVAL", "return redis.call('TIME')", "1", h.layout.Wishes()).AsIntSlice()
	require.NoError(h.T, err)
	return at[0]*1000 + at[1]/1000
}
