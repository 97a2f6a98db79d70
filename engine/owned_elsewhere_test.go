package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/balance"
)

// Trace: the group is made again, and b reads what a owns. It parks that. If a has it pending again and is done with it, b announces nothing;
// if somebody deletes it while it is pending for b, b announces it from memory.
func TestWhatItsOwnerIsDoneWithIsNotAnnouncedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		end       func(h *harness, a *testEngine, entry string)
		announced int
	}{
		"its owner is done with it": {func(h *harness, a *testEngine, entry string) {
			h.server.with(0, func(p *fakePartition) { p.pending[entry].consumer = a.ID() })
			require.NoError(h.t, a.held("s").Done(h.t.Context()))
		}, 0},
		"somebody deletes it": {func(h *harness, _ *testEngine, _ string) { h.server.trim() }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				ungated := WithBalance(balance.Config{Gate: balance.Off})
				a := h.start(nil, WithConsumerID("a"), ungated)
				h.server.announce("s")
				advance(time.Second)
				entry := a.held("s").Entry()
				a.Pause()
				advance(10 * time.Second) // no read of it waits any more
				b := h.start(nil, WithConsumerID("b"), ungated)
				advance(time.Second)
				h.server.with(0, func(p *fakePartition) {
					p.delivered = 0
					clear(p.pending)
					close(p.news)
					p.news = make(chan struct{})
				})
				advance(10 * time.Millisecond)
				require.Len(t, b.parkedEntries(0), 1)
				require.Empty(t, h.server.leaseOf("s").waiting, "its owner is not asked to make way for it")
				c.end(h, a, entry)
				require.NoError(t, b.reader.reconciler.compare(t.Context(), b.partitions[0], b.session(0), 0, comparison{}))
				advance(10 * time.Millisecond)
				require.Len(t, b.parkedEntries(0), c.announced, "a owns the stream still")
				require.Equal(t, c.announced, b.counted("tampered_total", "result", "announced_again"))
			})
		})
	}
}
