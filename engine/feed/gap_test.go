package feed_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/feed"
)

func gaps(b **bench) feed.Config {
	return feed.Config{OnGap: func(_ context.Context, g feed.Gap) {
		(*b).write("%s: %v %s %s %d", g.Lease.Stream(), g.Kind, g.From, g.To, g.Missing)
	}}
}

// Trace: DEL, XADD 5-1. The stream rang, the read after the position brought nothing, and nobody ever read the message.
func TestStreamThatWasBornAgainIsReadFromItsStart(t *testing.T) {
	var b *bench
	inBubble(t, gaps(&b), func(bench *bench) {
		b = bench
		b.add("a", 10, 11)
		o := b.Own("a")
		b.sees("a: 10-0 11-0")
		b.Delete("a")
		b.add("a", 5)
		b.sees("a: reborn 11-0 0-0 0", "a: 5-0")
		require.Equal(t, "5-0", o.Position())
	})
}

// The same for an owner that comes later: its first read brings nothing.
func TestStreamThatWasBornAgainWhileNobodyOwnedIt(t *testing.T) {
	var b *bench
	inBubble(t, gaps(&b), func(bench *bench) {
		b = bench
		b.add("a", 10, 11)
		o := b.Own("a")
		b.sees("a: 10-0 11-0")
		o.Release()
		require.True(t, ended(o))
		b.Delete("a")
		b.add("a", 5)
		b.Own("a")
		b.sees("a: reborn 11-0 0-0 0", "a: 5-0")
	})
}

func TestDeletedStreamIsNoGapUntilItIsBornAgain(t *testing.T) {
	var b *bench
	inBubble(t, gaps(&b), func(bench *bench) {
		b = bench
		b.add("a", 10)
		o := b.Own("a")
		b.sees("a: 10-0")
		b.Delete("a")
		b.sees()
		require.Equal(t, "10-0", o.Position())
		b.add("a", 12)
		b.sees("a: 12-0")
	})
}

// Trace: a failover forgot the last messages, and the new master gave lower IDs to the next ones, by its own clock.
func TestForgottenTailIsReadAgainFromAMinuteBefore(t *testing.T) {
	var b *bench
	inBubble(t, gaps(&b), func(bench *bench) {
		b = bench
		b.add("a", 100_000, 200_000, 250_000, 300_000, 300_001)
		o := b.Own("a")
		b.sees("a: 100000-0 200000-0 250000-0 300000-0 300001-0")
		b.Forget("a", 1)
		b.sees("a: forgotten 300001-0 240000-0 0", "a: 250000-0 300000-0")
		require.Equal(t, "300000-0", o.Position())
	})
}

func TestMessagesTrimmedBeforeTheyWereRead(t *testing.T) {
	var b *bench
	inBubble(t, gaps(&b), func(bench *bench) {
		b = bench
		o := b.Own("a")
		b.sees() // looked at
		b.add("a", 1)
		b.sees("a: 1-0")
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Second); return nil })
		b.add("a", 2)
		b.sees("a: 2-0")
		b.add("a", 3, 4, 5)
		b.Trim("a", 1)
		b.does(nil)
		b.seesAfter(time.Second, "a: 5-0")
		b.Trim("a", 0) // rings, and brings nothing: looked at
		b.sees("a: trimmed 5-0 5-0 2")
		b.add("a", 6)
		b.Trim("a", 0)
		b.sees("a: trimmed 5-0 6-0 1")
		require.Equal(t, "6-0", o.Position())
		b.add("a", 7)
		b.sees("a: 7-0")
	})
}

// What was handled may be trimmed.
func TestTrimOfHandledMessagesIsNoGap(t *testing.T) {
	var b *bench
	inBubble(t, gaps(&b), func(bench *bench) {
		b = bench
		b.Own("a")
		b.add("a", 1, 2)
		b.sees("a: 1-0 2-0")
		b.Trim("a", 0)
		b.sees()
	})
}
