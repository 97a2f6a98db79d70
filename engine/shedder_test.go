package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// lopsided starts an engine that takes n streams, and then others.
func (h *harness) lopsided(n, others int, opts ...Option) (first *testEngine, fleet []*testEngine) {
	h.t.Helper()
	first = h.start(nil, append([]Option{WithConsumerID("first")}, opts...)...)
	h.server.announce(streams(n)...)
	advance(2 * balance.MinHold)
	require.Equal(h.t, n, first.table.Len())
	return first, h.fleet(others, opts...)
}

// A fleet that is scaled out is even within 75 s, whatever is set: what one process holds too much goes to the others, each stream
// once, slowly, and its owner hears why.
func TestScaledOutFleetBecomesEven(t *testing.T) {
	for _, partitions := range []int{1, 3} {
		bubble(t, partitions, func(t *testing.T, h *harness) {
			const n = 2000
			first, fleet := h.lopsided(n, 3)
			advance(20 * time.Second)
			require.Equal(t, n, first.table.Len(), "not at once")
			advance(52 * time.Second)
			for _, e := range append(fleet, first) {
				require.InEpsilon(t, n/4, e.table.Len(), .1)
			}
			last := map[int64]int{}
			for _, x := range first.notified(api.Releasing) {
				require.ErrorIs(t, x.Err, api.ErrRebalanced)
				require.ErrorIs(t, x.Err, api.ErrReleasing)
				last[x.at.Unix()]++
			}
			for _, rate := range last {
				require.LessOrEqual(t, rate, balance.DefaultBudget+50)
			}
			for _, e := range fleet {
				require.Empty(t, e.notified(api.Releasing), "no stream moves twice")
				require.Empty(t, e.notified(api.Disowned))
			}
			moved := len(first.notified(api.Releasing))
			require.Equal(t, moved, first.counted("moves_total", "reason", "shed"))
			advance(10 * time.Minute)
			require.Len(t, first.notified(api.Releasing), moved, "nothing moves once it is even")
			require.Zero(t, h.server.retried())
		})
	}
}

// What is given at a time is handed back in one call: each call costs the server as much as several streams.
func TestWhatIsShedTogetherIsHandedBackTogether(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		first, _ := h.lopsided(2000, 3)
		first.fake.takeCalls()
		advance(72 * time.Second)
		moved := len(first.notified(api.Releasing))
		require.Greater(t, moved, 1300)
		calls := 0
		for _, c := range first.fake.takeCalls() {
			if c.op == "requeue" {
				calls++
			}
		}
		require.LessOrEqual(t, calls, moved/(balance.Unanswered/2))
	})
}

// With shedding off nothing moves, and the new ones get what comes.
func TestShedOff(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		first, _ := h.lopsided(200, 1, WithBalance(balance.Config{Shed: balance.Off}))
		advance(5 * time.Minute)
		require.Equal(t, 200, first.table.Len())
	})
}

// Owners that do not end on Releasing keep their streams, valid and renewed, and no more than a few of them are asked at a time.
func TestOwnersThatDoNotReleaseKeepTheirStreams(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 3000
		e := h.newEngine(WithConsumerID("first"))
		var asked atomic.Int32
		e.startWith(func(ctx context.Context) error {
			all, err := e.Start(ctx)
			for x := range all {
				if x.Kind == api.Releasing {
					asked.Add(1)
				}
			}
			return err
		})
		h.server.announce(streams(n)...)
		advance(2 * balance.MinHold)
		other := h.start(nil, WithConsumerID("other"))
		advance(50 * time.Second)
		require.EqualValues(t, balance.Unanswered, asked.Load())
		advance(10 * time.Minute)
		require.Equal(t, n, e.table.Len())
		require.LessOrEqual(t, int(asked.Load()), balance.DefaultBudget+balance.Unanswered)
		require.Zero(t, other.table.Len())
		for l := range e.Leases() {
			require.NoError(t, l.Context().Err())
		}
	})
}

// Evacuate hands back everything, at a pace, and ends when nothing is held.
func TestEvacuate(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		fleet := h.fleet(2)
		h.server.announce(streams(2000)...)
		advance(5 * time.Second)
		held := fleet[0].table.Len()
		require.InEpsilon(t, 1000, held, .1)
		began := time.Now()
		require.NoError(t, fleet[0].Evacuate(context.Background()))
		require.Zero(t, fleet[0].table.Len())
		took := time.Since(began)
		require.InDelta(t, (balance.Lead + 2*time.Second).Seconds(), took.Seconds(), .5)
		advance(time.Second)
		require.Equal(t, 2000, fleet[0].table.Len()+fleet[1].table.Len())
		for _, x := range fleet[0].notified(api.Releasing) {
			require.ErrorIs(t, x.Err, api.ErrDraining)
		}
		require.NoError(t, fleet[0].Ready(context.Background()))
		require.InDelta(t, held, fleet[0].counted("moves_total", "reason", "wish"), 10, "some came just before")
		h.server.announce(named("new", 20)...)
		advance(time.Second)
		require.Zero(t, fleet[0].table.Len())

		fleet[0].Resume()
		advance(2 * time.Second)
		h.server.announce(named("newer", 20)...)
		advance(time.Second)
		require.InDelta(t, 20, fleet[0].table.Len(), 2)
		go func() { _ = fleet[0].Shutdown(context.Background()) }()
		advance(10 * time.Millisecond)
		require.ErrorIs(t, fleet[0].Evacuate(context.Background()), api.ErrClosed)
	})
}

// Before its start an engine holds nothing, and after its end nothing either.
func TestEvacuateWithoutRunning(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine()
		require.NoError(t, e.Evacuate(context.Background()))
		h.server.announce(streams(10)...)
		e.startRun()
		advance(5 * time.Second)
		require.Zero(t, e.table.Len(), "it is not to take any")
		e.Resume()
		advance(5 * time.Second)
		require.Equal(t, 10, e.table.Len())

		ended := h.newEngine()
		require.NoError(t, ended.Shutdown(context.Background()))
		require.ErrorIs(t, ended.Evacuate(context.Background()), api.ErrClosed)
	})
}

// Evacuate goes on when its context has ended.
func TestEvacuateWithoutTime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		fleet := h.fleet(2)
		h.server.announce(streams(100)...)
		advance(5 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, fleet[0].Evacuate(ctx), context.DeadlineExceeded)
		advance(5 * time.Second)
		require.Zero(t, fleet[0].table.Len())
	})
}

// A process that is paused keeps what it has, and the others take the rest.
func TestPauseAndResume(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		fleet := h.fleet(2)
		h.server.announce(streams(100)...)
		advance(5 * time.Second)
		fleet[0].Pause()
		advance(6 * time.Second) // until no read is left that has waited since before
		held := fleet[0].table.Len()
		h.server.announce(named("new", 100)...)
		advance(2 * time.Second)
		require.Equal(t, held, fleet[0].table.Len())
		require.Equal(t, 200-held, fleet[1].table.Len())
		require.NoError(t, fleet[0].Ready(context.Background()))
		require.Equal(t, lease.RolePaused, fleet[0].balancer.standing(0).Role)
		advance(5 * time.Minute)
		require.Empty(t, fleet[1].notified(api.Releasing), "a paused process takes nothing, so nobody gives")
		fleet[0].Resume()
		advance(3 * time.Minute)
		require.InDelta(t, 100, fleet[0].table.Len(), 10)
	})
}

// SetWeight moves streams as a change of the fleet does.
func TestSetWeight(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		fleet := h.fleet(2)
		h.server.announce(streams(400)...)
		advance(2 * balance.MinHold)
		require.InDelta(t, 200, fleet[0].table.Len(), 12)
		fleet[1].SetWeight(3)
		advance(3 * time.Minute)
		require.InDelta(t, 100, fleet[0].table.Len(), 11)
		for given, want := range map[float64]float64{-1: MinWeight, 1e9: MaxWeight, 0: DefaultWeight} {
			fleet[1].SetWeight(given)
			require.InDelta(t, want, fleet[1].balancer.standing(0).Weight, 0)
		}
	})
}

// setWishes has operators wish something, as scan.Inspector.Ask does: with a signal, or without.
func (h *harness) setWishes(signal bool, all ...scan.Wish) {
	h.server.with(0, func(p *fakePartition) {
		h.server.wishes = all
		if signal {
			h.server.signal(p, lease.Signal{Kind: lease.SignalWish})
		}
	})
}

// A process obeys what operators wish of it within a beat, or half a minute without a signal, for as long as they do.
func TestWishesAreObeyed(t *testing.T) {
	for _, signal := range []bool{true, false} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			within := 2 * time.Second
			if !signal {
				within = wishesEvery
			}
			fleet := h.fleet(2)
			h.server.announce(streams(100)...)
			advance(5 * time.Second)
			h.setWishes(signal, scan.Wish{Kind: scan.WishPause, Consumer: "host-0", Left: time.Hour, Reason: "it is slow"},
				scan.Wish{Kind: scan.WishWeight, Consumer: "host-1", Weight: 7, Left: time.Hour})
			advance(within)
			require.Equal(t, lease.RolePaused, fleet[0].balancer.standing(0).Role)
			require.Equal(t, lease.RoleShares, fleet[1].balancer.standing(0).Role)
			require.InDelta(t, 7, fleet[1].balancer.standing(0).Weight, 0)
			require.Contains(t, fleet[0].logged(), "it is slow")
			fleet[0].Resume()
			require.Equal(t, lease.RolePaused, fleet[0].balancer.standing(0).Role, "the program does not overrule operators")

			h.setWishes(signal, scan.Wish{Kind: scan.WishDrain, Consumer: "host-0", Left: 10 * time.Second})
			advance(within + 3*time.Second)
			require.Zero(t, fleet[0].table.Len())
			require.Equal(t, 100, fleet[1].table.Len())
			h.setWishes(false)
			advance(10 * time.Second)
			require.Equal(t, lease.RoleShares, fleet[0].balancer.standing(0).Role, "the wish has ended")
			require.InDelta(t, 1, fleet[1].balancer.standing(0).Weight, 0)
		})
	}
}

// While operators have stopped all moving, nothing is shed.
func TestFreeze(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.setWishes(false, scan.Wish{Kind: scan.WishFreeze, Left: 5 * time.Minute})
		first, _ := h.lopsided(200, 1)
		advance(2 * time.Minute)
		require.Equal(t, 200, first.table.Len())
		require.Equal(t, 3, first.counted("balance_held_off"))
		h.setWishes(false)
		advance(3 * time.Minute)
		require.InDelta(t, 100, first.table.Len(), 10)
	})
}

// A freeze holds up Evacuate, too, and no shutdown.
func TestFreezeHoldsUpEvacuate(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.setWishes(false, scan.Wish{Kind: scan.WishFreeze, Left: time.Minute})
		fleet := h.fleet(2)
		h.server.announce(streams(100)...)
		advance(5 * time.Second)
		held := fleet[0].table.Len()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, fleet[0].Evacuate(ctx), context.DeadlineExceeded)
		require.Equal(t, held, fleet[0].table.Len())
		require.NoError(t, fleet[0].Shutdown(context.Background()))
		advance(time.Second)
		require.Equal(t, 100, fleet[1].table.Len())
	})
}

// Wishes that cannot be read stay as they were, and stop nothing.
func TestWishesThatCannotBeRead(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.setWishes(false, scan.Wish{Kind: scan.WishPause, Consumer: "host", Left: time.Hour})
		e := h.start(nil)
		advance(time.Second)
		e.fake.failOnly(faultOOM, "wishes")
		advance(5 * time.Minute)
		require.Equal(t, lease.RolePaused, e.balancer.standing(0).Role)
		e.fake.setFault(nil)
		h.setWishes(false)
		advance(time.Minute)
		require.Equal(t, lease.RoleShares, e.balancer.standing(0).Role)
	})
}
