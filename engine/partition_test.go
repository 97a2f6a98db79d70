package engine

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// An engine with a hung partition serves the others: each work queue has more than one goroutine.
func TestHungPartitionDelaysNoOther(t *testing.T) {
	bubble(t, 4, func(t *testing.T, h *harness) {
		const n = 400
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(5 * time.Second)
		counts := e.table.Counts(nil)
		e.fake.failWhen(faultHang, func(c *fakeCall) bool { return c.partition == 2 })
		advance(2 * time.Minute)
		require.Equal(t, n-counts[2], e.Stats().Held)
		require.Len(t, e.notified(api.Disowned), counts[2])
		for p := range 4 {
			if p == 2 {
				continue
			}
			name := h.streamIn(p, 1000)
			h.server.announce(name)
			advance(100 * time.Millisecond)
			require.NoError(t, e.held(name).Done(context.Background()))
		}
	})
}
