package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
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
