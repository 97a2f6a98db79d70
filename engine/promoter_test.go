package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: the server refused one member of later. The others waited for the next beat, page by page.
func TestPromotionContinuesPastARefusedMember(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		advance(time.Second)
		e.fake.failOnly(fakeFault{err: fmt.Errorf("%w: 1, the first: %w", lease.ErrSetAside, errorReply(tooMany))}, "promote")
		h.server.with(0, func(p *fakePartition) {
			for _, s := range streams(1000) {
				p.later = append(p.later, &fakeLater{due: nowMilli(), body: fakeBody(s)})
			}
		})
		advance(2 * time.Second)
		require.Equal(t, 1000, e.Stats().Held)
		require.Contains(t, e.logged(), "promoting fails")
		require.Less(t, countCalls(e.fake.takeCalls(), "promote"), 10)
	})
}
