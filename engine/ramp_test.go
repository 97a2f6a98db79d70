package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/balance"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/telemetry"
)

// unshed is for tests of the gate alone.
var unshed = WithBalance(balance.Config{Shed: balance.Off})

// crash has a process die without a word, and waits until the others have recovered what it held.
func (e *testEngine) crash() {
	e.fake.failAll(faultHang)
	advance(30 * time.Second)
}

// reported is the weight that a process has on record in a partition; 0: it has none.
func (e *testEngine) reported(partition int) (weight float64) {
	e.h.server.with(partition, func(p *fakePartition) { weight = p.fleet.rows[e.consumer(partition)].Weight })
	return weight
}

// shown is what a gauge shows.
func (e *testEngine) shown(name string) float64 {
	value, there := telemetry.Sum(e.h.t, e.registry, name)
	require.True(e.h.t, there, name)
	return value
}

const rampLogged = "this process has crashed lately"

// What a process that keeps crashing would take, as the emptiest of all, stays with the others. It gets more and more of it.
func TestProcessThatKeepsCrashingGetsLittle(t *testing.T) {
	for _, partitions := range []int{1, 2} {
		t.Run(map[int]string{1: "one partition", 2: "two"}[partitions], func(t *testing.T) {
			bubble(t, partitions, func(t *testing.T, h *harness) {
				others := h.fleet(2, unshed)
				h.server.announce(named("old", 200)...)
				advance(3 * time.Second)
				for range 3 {
					e := h.start(nil, WithConsumerID("crashing"), unshed)
					advance(3 * time.Second)
					e.crash()
				}
				e := h.start(nil, WithConsumerID("crashing"), unshed)
				require.Equal(t, 1, strings.Count(e.logged(), rampLogged))
				require.Contains(t, e.logged(), "crashes=3 time=4m0s")
				advance(1500 * time.Millisecond)
				require.InDelta(t, 0.02, e.shown("balance_ramp"), 1e-9)
				for p := range partitions {
					require.InDelta(t, 0.02, e.reported(p), 1e-9)
				}
				h.server.announce(named("new", 100)...)
				advance(3 * time.Second)
				require.Less(t, e.table.Len(), 10, "2 % of a share of 100, and what reads of before have brought")
				require.Equal(t, 300, others[0].table.Len()+others[1].table.Len()+e.table.Len())

				advance(2 * time.Minute)
				half := e.shown("balance_ramp")
				require.InDelta(t, 0.14, half, 0.02)
				h.server.announce(named("newer", 100)...)
				advance(3 * time.Second)
				require.InDelta(t, 400*half/(2+half), e.table.Len(), 7)

				advance(2 * time.Minute)
				require.InDelta(t, 1, e.shown("balance_ramp"), 0)
				require.InDelta(t, 1, e.reported(0), 0)
				h.server.announce(named("newest", 50)...)
				advance(3 * time.Second)
				require.InDelta(t, 75, e.table.Len(), 7, "all of them")
				require.Equal(t, 1, strings.Count(e.logged(), rampLogged))
			})
		})
	}
}

// Who has been shut down gets its share at once.
func TestNoRampAfterAShutdown(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.fleet(2, unshed)
		h.server.announce(named("old", 100)...)
		advance(3 * time.Second)
		for range 2 {
			e := h.start(nil, WithConsumerID("clean"), unshed)
			advance(3 * time.Second)
			_, _ = e.shutdownAndWait()
		}
		e := h.start(nil, WithConsumerID("clean"), unshed)
		advance(1500 * time.Millisecond)
		require.InDelta(t, 1, e.shown("balance_ramp"), 0)
		require.InDelta(t, 1, e.reported(0), 0)
		h.server.announce(named("new", 50)...)
		advance(time.Second)
		require.InDelta(t, 50, e.table.Len(), 4, "but for what reads of the others were waiting for")
		require.NotContains(t, e.logged(), rampLogged)
	})
}

// A process that was cut off for longer than its session lasts is counted as crashed. If it has been up for long, it has all of its weight
// as soon as it is back; a young one gets it as after a crash.
func TestRampOfOneThatWasCutOff(t *testing.T) {
	for _, up := range []time.Duration{3 * time.Second, 2 * time.Minute} {
		t.Run(up.String(), func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.fleet(1, unshed)
				e := h.start(nil, WithConsumerID("cut"), unshed)
				advance(up)
				before := e.consumer(0)
				e.crash()
				e.fake.setFault(nil)
				advance(5 * time.Second)
				require.Equal(t, before+"-1", e.consumer(0))
				h.server.with(0, func(p *fakePartition) { require.Equal(t, 1, p.fleet.crashed["cut"].count) })
				if up > balance.RampFirst {
					require.InDelta(t, 1, e.reported(0), 0)
					require.NotContains(t, e.logged(), rampLogged)
					return
				}
				require.Less(t, e.reported(0), 0.5)
				require.Equal(t, 1, strings.Count(e.logged(), rampLogged))
				advance(time.Minute)
				require.InDelta(t, 1, e.reported(0), 0)
			})
		})
	}
}

// Weights that are set count as much as they grow; what is shown as the weight is what was set.
func TestRampOfAWeight(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.fleet(1)
		h.start(nil, WithConsumerID("heavy"), WithWeight(8)).crash()
		e := h.start(nil, WithConsumerID("heavy"), WithWeight(8))
		advance(1500 * time.Millisecond)
		require.InDelta(t, 0.16, e.reported(0), 1e-9)
		e.SetWeight(MinWeight)
		advance(1500 * time.Millisecond)
		require.InDelta(t, 0.001, e.reported(0), 1e-9, "the least that can be stored")
		require.InDelta(t, MinWeight, e.shown("balance_weight"), 0)
		e.SetWeight(3)
		advance(time.Minute)
		require.InDelta(t, 3, e.reported(0), 0)
		require.InDelta(t, 3, e.shown("balance_weight"), 0)
	})
}

// Where the gate is off a process reads what it can, and its weight is what was set.
func TestNoRampWithoutAGate(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.fleet(1)
		h.start(nil, WithConsumerID("greedy"), ungated).crash()
		e := h.start(nil, WithConsumerID("greedy"), ungated)
		advance(1500 * time.Millisecond)
		h.server.with(0, func(p *fakePartition) {
			require.Equal(t, 1, p.fleet.crashed["greedy"].count)
			require.Equal(t, lease.RoleShares, p.fleet.rows[e.consumer(0)].Role)
		})
		require.InDelta(t, 1, e.reported(0), 0)
		require.InDelta(t, 1, e.shown("balance_ramp"), 0)
		require.NotContains(t, e.logged(), rampLogged)
	})
}
