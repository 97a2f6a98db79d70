package engine

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
)

// MaxStreams is never exceeded, with several partitions that read and park at the same time; what is done makes room.
func TestMaxStreamsIsNeverExceeded(t *testing.T) {
	bubble(t, 4, func(t *testing.T, h *harness) {
		const most, n = 37, 300
		var mu sync.Mutex
		held, peak := 0, 0
		count := func(d int) {
			mu.Lock()
			defer mu.Unlock()
			held += d
			peak = max(peak, held)
		}
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Added {
				count(1)
				backoff.Sleep(ctx, 20*time.Millisecond)
				count(-1)
				return n.Lease.Done(ctx)
			}
			return nil
		}, WithMaxStreams(most), WithWorkers(100), WithReadBatch(20))
		e.fake.failAll(fakeFault{before: 3 * time.Millisecond, after: 2 * time.Millisecond})
		for range 4 {
			h.server.announce(streams(n)...)
		}
		for began := time.Now(); time.Since(began) < 5*time.Minute; advance(50 * time.Millisecond) {
			require.LessOrEqual(t, e.table.Len(), most)
			if undelivered, pending, later, _ := h.server.count(); undelivered+pending+later == 0 {
				break
			}
		}
		require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
		require.LessOrEqual(t, peak, most)
		require.Greater(t, peak, most/2)
		require.Len(t, e.notified(api.Added), 4*n)
	})
}

// With less room than partitions, each partition gets its turn.
//
// Trace: a reader that had found nothing took its room again before those who waited for it had woken up. A stream in another
// partition was never read.
func TestScarceRoomIsSharedInTurns(t *testing.T) {
	for partition := range 4 {
		bubble(t, 4, func(t *testing.T, h *harness) {
			e := h.start(nil, WithMaxStreams(1))
			advance(30 * time.Second)
			name := h.streamIn(partition, 0)
			h.server.announce(name)
			advance(20 * time.Second)
			e.held(name)
		})
	}
}

// A reader that may take nothing for another reason gives up its turn.
//
// Trace: those behind it waited until it had looked again.
func TestReaderThatMayTakeNothingGivesUpItsTurn(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		e := h.start(nil, WithMaxStreams(1))
		h.server.announce(h.streamIn(0, 0))
		advance(time.Second)
		h.server.announce(h.streamIn(0, 1), h.streamIn(1, 0))
		advance(time.Second)
		require.True(t, e.quota.Waits(0))
		e.pressure.mu.Lock()
		e.pressure.mu.parts[0].intake = IntakeStopped
		e.pressure.mu.Unlock()
		require.Zero(t, e.pressure.reserveInTurn(0, 1))
		require.False(t, e.quota.Waits(0))
	})
}

// Fewer streams: the owners of those acquired last are notified with Releasing, once, and the streams are handed back. More
// streams: others are acquired.
func TestSetMaxStreams(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Releasing {
				backoff.Sleep(ctx, time.Second)
			}
			return nil
		})
		advance(time.Second)
		h.server.announce("young1", "young2")
		advance(time.Second)
		require.Equal(t, 22, e.Stats().Held)
		e.SetMaxStreams(20)
		advance(100 * time.Millisecond)
		e.SetMaxStreams(18)
		advance(5 * time.Second)
		require.Equal(t, 18, e.Stats().Held)
		notified := e.notified(api.Releasing)
		require.Len(t, notified, 4, "each once")
		for _, x := range notified {
			require.Positive(t, x.left)
		}
		require.ElementsMatch(t, []string{"young1", "young2"}, []string{notified[0].Stream, notified[1].Stream})
		advance(time.Minute)
		require.Equal(t, 18, e.Stats().Held)
		e.SetMaxStreams(21)
		advance(20 * time.Second)
		require.Equal(t, 21, e.Stats().Held)
		e.SetMaxStreams(0)
		advance(20 * time.Second)
		require.Equal(t, 22, e.Stats().Held)
		e.SetMaxStreams(NoStreams)
		advance(time.Minute)
		require.Zero(t, e.Stats().Held)
		require.Equal(t, IntakeFull, e.Stats().Intake)
		e.SetMaxStreams(0)
		advance(20 * time.Second)
		require.Equal(t, 22, e.Stats().Held)
		require.Empty(t, e.notified(api.Disowned))
	})
}

// While handlers are behind, reading pauses and renewal continues; when they have caught up, reading resumes.
func TestReadingPausesWhileHandlersAreBehind(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n, batch, workers = 2000, 50, 4
		gate := make(chan struct{})
		e := h.start(func(ctx context.Context, n api.Notification) error {
			select {
			case <-gate:
			case <-ctx.Done():
			}
			return nil
		}, WithReadBatch(batch), WithWorkers(workers))
		h.server.announce(streams(n)...)
		advance(3 * e.cfg.leaseTTL)
		held := e.Stats().Held
		require.GreaterOrEqual(t, held, 2*batch)
		require.LessOrEqual(t, held, 4*batch+workers)
		undelivered, _, _, _ := h.server.count()
		require.Equal(t, n-held, undelivered, "the rest stays where others can read it")
		for _, l := range e.table.All() {
			require.Positive(t, l.Remaining())
		}
		require.Contains(t, e.logged(), "handlers block workers")
		close(gate)
		advance(time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.Empty(t, e.notified(api.Disowned))
	})
}

// A reader that gets its room after its session has ended does not read under the old name.
//
// Trace: it continued with the session that it had waited with. The read could deliver to a consumer that was closed, and
// whose process would not learn of it.
func TestNoReadUnderASessionThatHasEnded(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		a, b := h.streamIn(0, 0), h.streamIn(1, 0)
		h.server.announce(a)
		e := h.start(nil, WithMaxStreams(1))
		advance(30 * time.Second)
		require.Equal(t, 1, e.Stats().Held)
		old := e.consumer(1)
		h.server.with(1, func(p *fakePartition) { p.sessions[old] = 0 })
		advance(10 * time.Second)
		require.NotEqual(t, old, e.consumer(1))
		h.server.announce(b)
		e.fake.takeCalls()
		require.NoError(t, e.held(a).Done(context.Background()))
		advance(30 * time.Second)
		for _, c := range e.fake.takeCalls() {
			require.False(t, c.op == "read" && c.partition == 1 && c.consumer == old)
		}
		e.held(b)
	})
}
