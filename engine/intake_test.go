package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// An entry beyond a limit is dead-lettered with that reason, and counted as such; its neighbours are owned.
func TestEntryBeyondTheLimitsIsDeadLettered(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil, WithLimits(Limits{MaxName: 100, MaxInfo: 1000, MaxFields: 16, MaxEntry: 4000}))
		many := fakeBody("wide")
		for i := range 16 {
			many = append(many, rueidis.XRangeFieldValue{Field: fmt.Sprint(i)})
		}
		h.server.add(0, fakeBody(strings.Repeat("n", 101)))
		h.server.add(0, bulky("info", 2000))
		h.server.add(0, many)
		h.server.add(0, fakeBody("weight", "mine", strings.Repeat("m", 4000)))
		h.server.announce(strings.Repeat("n", 100), "fine")
		advance(time.Second)
		require.Equal(t, 2, e.Stats().Held)
		_, _, _, dead := h.server.count()
		require.Equal(t, 4, dead)
		require.Equal(t, 4, e.counted("dead_letters_total", "reason", lease.DeadTooLarge))
		require.Contains(t, e.logged(), "announcement exceeds the limits")
	})
}
