package feed_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed"
)

func TestFinishEndsTheStreamWithItsPosition(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { return feed.Finish })
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		require.True(t, ended(o))
		require.Equal(t, leasetest.Done, o.Lease.Outcome().State)
		require.Equal(t, "1-0", o.Position())
	})
}

// A message that comes while the stream is being finished is handled before it is.
func TestFinishLeavesNoMessageBehind(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.does(func(_ context.Context, batch *feed.Batch) error {
			if batch.Messages[0].ID == "1-0" {
				b.add("a", 2)
			}
			return feed.Finish
		})
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0", "a: 2-0")
		require.True(t, ended(o))
		require.Equal(t, "2-0", o.Position())
	})
}

func TestIdleStreamIsDone(t *testing.T) {
	inBubble(t, feed.Config{IdleDone: 10 * time.Second}, func(b *bench) {
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		time.Sleep(8 * time.Second)
		b.add("a", 2)
		b.sees("a: 2-0")
		time.Sleep(9 * time.Second)
		require.False(t, ended(o))
		time.Sleep(3 * time.Second)
		require.True(t, ended(o))
		require.Equal(t, leasetest.Done, o.Lease.Outcome().State)
		require.Equal(t, "2-0", o.Position())
	})
}

// The last message of a stream was deleted unread: its last ID stays above the position for ever, and the stream can be left all the same.
func TestStreamWhoseLastMessageWasDeletedCanBeLeft(t *testing.T) {
	inBubble(t, feed.Config{IdleDone: 10 * time.Second}, func(b *bench) {
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		b.add("a", 2)
		b.Trim("a", 0)
		time.Sleep(time.Minute)
		require.True(t, ended(o))
		require.Equal(t, leasetest.Done, o.Lease.Outcome().State)
	})
}

// A stream that was announced again is done at its next rest, and not before, unless that takes a minute.
func TestSupersededStreamMakesWayAtItsNextRest(t *testing.T) {
	inBubble(t, feed.Config{MaxBatch: 1}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Second); return nil })
		b.add("a", 1, 2)
		o := b.Own("a")
		b.sees("a: 1-0")
		o.Supersede()
		b.seesAfter(time.Second, "a: 2-0")
		require.False(t, ended(o))
		time.Sleep(time.Second)
		require.True(t, ended(o))
		require.Equal(t, leasetest.Done, o.Lease.Outcome().State)
		require.Equal(t, "2-0", o.Position())

		resting := b.Own("a")
		b.sees()
		resting.Supersede()
		require.True(t, ended(resting))

		b.does(func(context.Context, *feed.Batch) error {
			b.Add("a")
			time.Sleep(time.Second)
			return nil
		})
		b.Add("a")
		busy := b.Own("a")
		busy.Supersede()
		time.Sleep(50 * time.Second)
		require.False(t, ended(busy))
		time.Sleep(15 * time.Second)
		require.True(t, ended(busy), "a stream that never rests makes way after a minute")
		require.Equal(t, leasetest.Done, busy.Lease.Outcome().State)
	})
}

func TestSupersededStreamMakesWayWhileItWaitsForARetry(t *testing.T) {
	inBubble(t, feed.Config{RetryDelay: time.Hour, MaxRetryDelay: time.Hour}, func(b *bench) {
		b.does(failsAt(errNo, "1-0"))
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		o.Supersede()
		require.True(t, ended(o))
		require.Equal(t, leasetest.Done, o.Lease.Outcome().State)
		require.Equal(t, 1, o.Failures())
		require.Zero(t, b.Stats())
	})
}

func TestSignalsArriveInOrderWhileABatchIsHandled(t *testing.T) {
	var b *bench
	c := feed.Config{Workers: 2, OnSignal: func(_ context.Context, l api.Lease, payload []byte) {
		b.write("%s: signal %s", l.Stream(), payload)
		time.Sleep(time.Millisecond)
	}}
	inBubble(t, c, func(bench *bench) {
		b = bench
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Second); return nil })
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		for _, s := range []string{"x", "y", "z"} {
			o.Signal([]byte(s))
		}
		b.seesAfter(10*time.Millisecond, "a: signal x", "a: signal y", "a: signal z")
		o.Signal([]byte("last"))
		o.Lose(nil)
		o.Signal([]byte("too late"))
		time.Sleep(2 * time.Second)
		require.True(t, ended(o))
	})
}
