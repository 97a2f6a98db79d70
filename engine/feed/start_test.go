package feed_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed"
)

func TestEarliestBeginsWithTheFirstMessage(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.add("a", 1)
		b.Own("a")
		b.sees("a: 1-0")
	})
}

// Trace: Latest, a message, a crash before it was read, Latest again: the message was skipped.
func TestLatestIsResolvedOnce(t *testing.T) {
	inBubble(t, feed.Config{Start: feed.Latest}, func(b *bench) {
		b.add("a", 1)
		o := b.Own("a")
		b.sees()
		require.Equal(t, "1-0", o.Position(), "stored before the first read")
		o.Lose(nil)
		require.True(t, ended(o))
		b.add("a", 2)
		b.Own("a")
		b.sees("a: 2-0")
	})
}

// What cannot be stored is not read: nobody knows where the next owner would begin.
func TestLatestIsNotReadBeforeItIsStored(t *testing.T) {
	inBubble(t, feed.Config{Start: feed.Latest}, func(b *bench) {
		b.add("a", 1)
		lease := leasetest.New("a")
		lease.RefuseCheckpoints(api.ErrNoCheckpoints)
		o := b.OwnLease(lease)
		b.sees()
		b.add("a", 2)
		time.Sleep(time.Minute)
		b.sees()
		o.Lease.RefuseCheckpoints(nil)
		b.seesAfter(3*time.Second, "a: 2-0")
		require.Equal(t, "2-0", o.Position())
	})
}

// CheckpointEvery thins out what is stored while messages are handled, and nothing at the end.
func TestCheckpointEvery(t *testing.T) {
	inBubble(t, feed.Config{CheckpointEvery: 10 * time.Second}, func(b *bench) {
		o := b.Own("a")
		b.add("a", 1)
		b.sees("a: 1-0")
		b.seesAfter(9 * time.Second)
		b.add("a", 2)
		b.sees("a: 2-0")
		require.Empty(t, o.Position())
		b.seesAfter(2 * time.Second)
		require.Equal(t, "2-0", o.Position())
		b.add("a", 3)
		b.sees("a: 3-0")
		require.Equal(t, "2-0", o.Position())
		o.Release()
		require.True(t, ended(o))
		require.Equal(t, "f1 3-0", o.Lease.NextCheckpoint())
	})
}

func TestLagNamesTheFurthestBehind(t *testing.T) {
	inBubble(t, feed.Config{Workers: 1, RetryDelay: time.Hour, MaxRetryDelay: time.Hour}, func(b *bench) {
		b.does(func(_ context.Context, batch *feed.Batch) error {
			if batch.Lease.Stream() == "failing" {
				return errNo
			}
			time.Sleep(time.Hour)
			return nil
		})
		for _, s := range []string{"failing", "running", "waiting"} {
			b.Add(s)
			time.Sleep(time.Second)
		}
		b.Add("waiting")
		for _, s := range []string{"failing", "running", "waiting", "resting"} {
			b.Own(s)
			synctest.Wait()
		}
		lags := b.Lag(10)
		require.Len(t, lags, 3)
		var names []string
		for _, l := range lags {
			names = append(names, l.Stream)
		}
		require.Equal(t, []string{"failing", "running", "waiting"}, names)
		require.Equal(t, 3*time.Second, lags[0].Age)
		require.Equal(t, 1, lags[0].Failures)
		require.True(t, lags[0].More)
		require.Equal(t, 2, lags[2].Messages)
		require.Equal(t, lags[:2], b.Lag(2))
		require.Empty(t, b.Lag(0))
		require.Equal(t, 3*time.Second, b.Stats().Longest)
	})
}
