package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/breaker"
)

// A server that does not answer is read from only now and then, while beats continue as always. The first beat that is
// answered resumes reading.
func TestDeadServerIsNotHammered(t *testing.T) {
	bubble(t, 4, func(t *testing.T, h *harness) {
		e := h.start(nil, WithSessionTTL(5*time.Minute), WithLeaseTTL(5*time.Minute))
		advance(time.Second)
		e.fake.failAll(faultError)
		advance(20 * time.Second)
		e.fake.takeCalls()
		advance(2 * time.Minute)
		calls := e.fake.takeCalls()
		require.LessOrEqual(t, countCalls(calls, "read"), 13, "about one in ten seconds, for all partitions that share the server")
		require.Positive(t, countCalls(calls, "read"))
		require.GreaterOrEqual(t, countCalls(calls, "beat"), 4*100, "the breaker does not hold back beats")
		require.Contains(t, e.events(), api.EventReadsPaused)
		require.Equal(t, 1, e.counted("breakers_open"))
		require.NotContains(t, e.events(), api.EventReadsResumed)
		e.fake.setFault(nil)
		advance(1500 * time.Millisecond)
		require.Contains(t, e.events(), api.EventReadsResumed)
		h.server.announce("s")
		advance(time.Second)
		require.Equal(t, 1, e.Stats().Held)
		require.Equal(t, 1, e.countEvents(api.EventReadsPaused), "reported once")
	})
}

// The gauge counts masters, not partitions, and the figures are those of WithBreaker.
func TestOpenBreakersAreCountedByMaster(t *testing.T) {
	bubble(t, 6, func(t *testing.T, h *harness) {
		e := h.start(nil, WithSessionTTL(5*time.Minute), WithLeaseTTL(5*time.Minute),
			WithBreaker(breaker.Config{Failures: 2, Wait: 30 * time.Second, Trials: 2}))
		e.lanes.assign([]int{1, 1, 2, 2, 3, 3})
		advance(time.Second)
		open := func() int { return e.counted("breakers_open") }
		require.Zero(t, open())
		e.fake.setFault(func(c *fakeCall) fakeFault {
			if c.partition >= 2 {
				return faultError
			}
			return fakeFault{}
		})
		advance(time.Minute)
		require.Equal(t, 2, open())
		e.fake.takeCalls()
		advance(5 * time.Minute)
		reads := map[int]int{}
		for _, c := range e.fake.takeCalls() {
			if c.op == "read" {
				reads[e.lanes.of(c.partition)]++
			}
		}
		for lane := 2; lane <= 3; lane++ {
			require.GreaterOrEqual(t, reads[lane], 5, "about one in 30 s")
			require.LessOrEqual(t, reads[lane], 20, "two in 30 s at most")
		}
		require.Greater(t, reads[1], 40, "the master that answers is read from")
		e.fake.setFault(nil)
		advance(1500 * time.Millisecond)
		require.Zero(t, open())
	})
}
