package feed_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed"
)

// keeping is a bench whose handler keeps every batch.
func keeping(t *testing.T, c feed.Config, f func(b *bench, pending func() *feed.Pending)) {
	inBubble(t, c, func(b *bench) {
		var last *feed.Pending
		b.does(func(_ context.Context, batch *feed.Batch) error { last = batch.Keep(); return nil })
		f(b, func() *feed.Pending { return last })
	})
}

func TestKeptBatchTakesNoWorkerAndHoldsItsStream(t *testing.T) {
	keeping(t, feed.Config{Workers: 1}, func(b *bench, pending func() *feed.Pending) {
		b.add("a", 1, 2)
		o := b.Own("a")
		b.sees("a: 1-0 2-0")
		p := pending()
		b.add("a", 3)
		b.sees()
		require.Equal(t, 1, b.Stats().Kept)
		b.add("b", 1)
		b.Own("b")
		b.sees("b: 1-0")
		pending().Handled()

		p.Upto("1-0")
		require.Equal(t, "1-0", o.Position())
		p.Upto("0-5")
		p.Upto("nonsense")
		require.Equal(t, "1-0", o.Position(), "a lower ID is ignored")
		p.Handled()
		p.Retry(errNo)
		b.sees("a: 3-0")
		require.Equal(t, "2-0", o.Position())
		p.Upto("9-0")
		require.Equal(t, "2-0", o.Position(), "of a batch that has ended")
		pending().Handled()
		b.sees()
		require.Zero(t, b.Stats().Kept)
		require.Zero(t, b.Stats().KeptBytes)
		require.Zero(t, b.Stats().Bytes)
	})
}

func TestRetryBringsWhatFollowsUpto(t *testing.T) {
	keeping(t, feed.Config{}, func(b *bench, pending func() *feed.Pending) {
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		b.sees("a: 1-0 2-0 3-0")
		pending().Upto("1-9")
		pending().Retry(errNo)
		b.sees()
		require.Equal(t, 1, o.Failures())
		require.Equal(t, "1-0", o.Position())
		b.seesAfter(time.Second, "a: 2-0")
		pending().Retry(nil)
		b.sees("a: 3-0")
		pending().Retry(feed.Finish)
		b.sees()
		require.True(t, ended(o))
		require.Equal(t, leasetest.Done, o.Lease.Outcome().State)
	})
}

// A kept batch outlives its lease: the stream stays busy here until the work has ended, and stores nothing.
func TestKeptBatchOfALostLeaseKeepsTheStreamBusy(t *testing.T) {
	keeping(t, feed.Config{}, func(b *bench, pending func() *feed.Pending) {
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		o.Lose(nil)
		require.False(t, ended(o))
		pending().Upto("1-0")
		pending().Handled()
		require.True(t, ended(o))
		require.Empty(t, o.Position())
	})
}

func TestReleaseWaitsForAKeptBatch(t *testing.T) {
	keeping(t, feed.Config{}, func(b *bench, pending func() *feed.Pending) {
		b.add("a", 1, 2)
		o := b.Own("a")
		b.sees("a: 1-0 2-0")
		o.Release()
		require.False(t, ended(o))
		pending().Upto("1-0")
		pending().Retry(errNo)
		require.True(t, ended(o))
		require.Equal(t, leasetest.HandedBack, o.Lease.Outcome().State)
		require.Equal(t, "1-0", o.Position())
		require.Equal(t, 1, o.Failures())
	})
}

// Ends before the handler has returned take effect when it has; an error of the handler ends a kept batch.
func TestPendingBeforeTheHandlerReturns(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.does(func(_ context.Context, batch *feed.Batch) error {
			batch.Keep().Handled()
			b.write("a: still running")
			return errNo
		})
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0", "a: still running")
		require.Equal(t, "1-0", o.Position())
		b.does(func(_ context.Context, batch *feed.Batch) error { batch.Keep(); return errNo })
		b.add("a", 2)
		b.sees("a: 2-0")
		require.Equal(t, 1, o.Failures())
		var late *feed.Batch
		b.does(func(_ context.Context, batch *feed.Batch) error { late = batch; return nil })
		b.seesAfter(time.Second, "a: 2-0")
		late.Keep().Retry(errNo)
		require.ErrorIs(t, late.SaveState("x"), feed.ErrTooLate)
		require.Equal(t, "2-0", o.Position())
	})
}

// The state moves with the position, and not without it.
func TestStateMovesWithThePosition(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		fail := true
		b.does(func(_ context.Context, batch *feed.Batch) error {
			require.NoError(t, batch.SaveState(batch.State()+"x"))
			if fail {
				return errNo
			}
			return nil
		})
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		require.Empty(t, o.State())
		fail = false
		b.seesAfter(time.Second, "a: 1-0")
		require.Equal(t, "x", o.State())
		b.add("a", 2)
		b.sees("a: 2-0")
		o.Release()
		require.True(t, ended(o))
		b.does(func(_ context.Context, batch *feed.Batch) error {
			require.ErrorIs(t, batch.SaveState(strings.Repeat("y", feed.MaxState+1)), api.ErrCheckpointTooLong)
			b.write("a: state %s", batch.State())
			return batch.SaveState(strings.Repeat("y", feed.MaxState))
		})
		b.add("a", 3)
		o = b.Own("a")
		b.sees("a: 3-0", "a: state xx")
		require.Len(t, o.State(), feed.MaxState)
	})
}
