package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
)

// fleet starts engines of one service, each of them a second after the one before.
func (h *harness) fleet(n int, opts ...Option) (all []*testEngine) {
	h.t.Helper()
	for i := range n {
		all = append(all, h.start(nil, append([]Option{WithConsumerID(fmt.Sprintf("host-%d", i))}, opts...)...))
		advance(time.Second)
	}
	return all
}

// heldBy is how many streams each engine holds.
func heldBy(engines []*testEngine) (held []int) {
	for _, e := range engines {
		held = append(held, e.table.Len())
	}
	return held
}

// named are n names, all of which begin with a prefix.
func named(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", prefix, i))
	}
	return names
}

// What is announced to a fleet goes to those that have too little, whoever reads first.
func TestGateEvensOutWhatComes(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			bubble(t, partitions, func(t *testing.T, h *harness) {
				first := h.start(nil, WithConsumerID("first"))
				h.server.announce(named("old", 100)...)
				advance(3 * time.Second)
				require.Equal(t, 100, first.table.Len())
				fleet := append(h.fleet(1), first)
				h.server.announce(named("new", 80)...)
				advance(time.Second)
				held := heldBy(fleet)
				require.InDelta(t, 80, held[0], float64(partitions), "all of them")
				require.Equal(t, 180, held[0]+held[1])
			})
		})
	}
}

// A small fleet to which streams are announced one at a time takes each of them soon: those that have just taken one have no room until they
// hear that there are more.
func TestSmallFleetGrowsQuickly(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		fleet := h.fleet(3)
		advance(5 * time.Second)
		began := time.Now()
		for i, s := range streams(90) {
			h.server.announce(s)
			for fleet[0].table.Len()+fleet[1].table.Len()+fleet[2].table.Len() <= i {
				advance(5 * time.Millisecond)
			}
		}
		require.Less(t, time.Since(began), 90*20*time.Millisecond)
		for _, held := range heldBy(fleet) {
			require.InDelta(t, 30, held, 6)
		}
		for _, e := range fleet {
			e.fake.takeCalls()
		}
		advance(10 * time.Second)
		for _, e := range fleet {
			require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "beat"), 15, "nobody goes on asking")
		}
	})
}

// Those that are alone read whatever there is, once they have been there for a second.
func TestOpeningTakesLittleInTheFirstSecond(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(3200)...)
		e := h.start(nil)
		advance(500 * time.Millisecond)
		require.Equal(t, 200, e.table.Len())
		advance(time.Second)
		require.Equal(t, 3200, e.table.Len())
	})
}

// Processes that start together find the same.
func TestFleetThatStartsTogetherComesOutEven(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(4000)...)
		var fleet []*testEngine
		for i := range 4 {
			fleet = append(fleet, h.start(nil, WithConsumerID(fmt.Sprintf("host-%d", i))))
			advance(100 * time.Millisecond)
		}
		advance(10 * time.Second)
		for _, held := range heldBy(fleet) {
			require.InDelta(t, 1000, held, 250)
		}
	})
}

// What a drain hands back is taken at once, and evenly.
func TestOthersMakeRoomBeforeADrainHandsBack(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		fleet := h.fleet(3)
		h.server.announce(streams(300)...)
		advance(5 * time.Second)
		require.InDeltaSlice(t, []int{100, 100, 100}, heldBy(fleet), 6)
		var released time.Time
		leaving := fleet[0]
		began := time.Now()
		go func() { _, _ = leaving.shutdownAndWait() }()
		advance(5 * time.Second)
		require.InDeltaSlice(t, []int{0, 150, 150}, heldBy(fleet), 9)
		for _, n := range leaving.notified(api.Releasing) {
			released = n.at
		}
		require.Equal(t, balance.Lead, released.Sub(began))
		for _, e := range fleet[1:] {
			for _, n := range e.notified(api.Added) {
				if n.at.After(began) {
					require.Less(t, n.at.Sub(released), 100*time.Millisecond)
				}
			}
		}
	})
}

// A process that is alone does not wait when it drains, nor does one that holds nothing.
func TestDrainWithoutLead(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.fleet(1)[0]
		h.server.announce(streams(10)...)
		advance(time.Second)
		began := time.Now()
		_, _ = e.shutdownAndWait()
		require.Less(t, time.Since(began), balance.Lead)
	})
}

// What nobody has room for is read all the same, after the handicap.
func TestLeftoversAreRead(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		fleet := h.fleet(2)
		h.server.announce(streams(20)...)
		advance(3 * time.Second)
		// A consumer of nobody counts, and does not read.
		h.server.with(0, func(p *fakePartition) {
			p.fleet.rows["ghost"] = fakeRow{lease.Standing{Role: lease.RoleShares, Weight: 98}, 0}
			p.sessions["ghost"] = nowMilli() + time.Hour.Milliseconds()
		})
		advance(6 * time.Second) // until no read is left that has waited since before
		h.server.announce("late")
		advance(400 * time.Millisecond)
		require.Equal(t, 20, fleet[0].table.Len()+fleet[1].table.Len())
		advance(3 * time.Second)
		require.Equal(t, 21, fleet[0].table.Len()+fleet[1].table.Len())
		require.Equal(t, 1, fleet[0].counted("leftover_reads_total")+fleet[1].counted("leftover_reads_total"))
		require.Zero(t, fleet[0].balancer.more(10), "a read that has waited takes no leftovers")
	})
}

// A process that may not hold its share leaves the sums: the others take the rest.
func TestFullProcessLeavesTheSums(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		small := h.start(nil, WithConsumerID("small"), WithMaxStreams(10))
		large := h.start(nil, WithConsumerID("large"))
		advance(3 * time.Second)
		h.server.announce(streams(100)...)
		advance(5 * time.Second)
		require.InDelta(t, 10, small.table.Len(), 1)
		require.Equal(t, 100, small.table.Len()+large.table.Len())
		_, pending, _, _ := h.server.count()
		require.Equal(t, 100, pending)
	})
}

// Weights divide what comes.
func TestWeights(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		one := h.start(nil, WithConsumerID("one"))
		three := h.start(nil, WithConsumerID("three"), WithWeight(3))
		advance(3 * time.Second)
		h.server.announce(streams(400)...)
		advance(3 * time.Second)
		require.InDelta(t, 100, one.table.Len(), 7)
		require.InDelta(t, 300, three.table.Len(), 17)
	})
}

// Where nothing is known, or what is known is old, the gate is open.
func TestGateOpensWhenNothingIsKnown(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.with(0, func(p *fakePartition) { p.fleet.refused = errOOM })
		h.server.announce(streams(300)...)
		blind := h.start(nil, WithConsumerID("blind"))
		advance(100 * time.Millisecond)
		require.Equal(t, 300, blind.table.Len())

		h.server.with(0, func(p *fakePartition) { p.fleet.refused = nil })
		other := h.start(nil, WithConsumerID("other"))
		advance(3 * time.Second)
		h.server.announce(named("new", 10)...)
		advance(time.Second)
		require.InDelta(t, 10, other.table.Len(), 1, "but for one that a read of the other was waiting for")
		h.server.with(0, func(p *fakePartition) { p.fleet.refused = errOOM })
		advance(balance.Stale + 2*time.Second)
		allowed, _ := blind.balancer.allow(0, 1000)
		require.Equal(t, 1000, allowed)
	})
}

// Who dies counts until it is recovered, and no longer.
func TestDeadProcessLeavesTheSums(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		fleet := h.fleet(3)
		h.server.announce(streams(300)...)
		advance(5 * time.Second)
		fleet[0].fake.failAll(faultHang)
		advance(30 * time.Second)
		held := heldBy(fleet[1:])
		require.InDeltaSlice(t, []int{150, 150}, held, 9)
		h.server.with(0, func(p *fakePartition) { require.Len(t, p.fleet.rows, 2) })
	})
}

// With the gate off a process reads whatever there is, and the others know of it.
func TestGateOff(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil, WithConsumerID("greedy"), ungated)
		h.start(nil, WithConsumerID("other"))
		advance(2 * time.Second)
		allowed, _ := e.balancer.allow(0, 1000)
		require.Equal(t, 1000, allowed)
		h.server.with(0, func(p *fakePartition) { require.Len(t, p.fleet.rows, 2) })
		began := time.Now()
		require.NoError(t, e.Shutdown(context.Background()))
		require.Less(t, time.Since(began), balance.Lead)
	})
}
