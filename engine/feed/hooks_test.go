package feed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed"
)

// State that is set after Upto of the last message is that of the position, too.
func TestStateThatIsSavedAfterUptoOfTheLastMessage(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		var batch *feed.Batch
		b.does(func(_ context.Context, x *feed.Batch) error { batch = x; batch.Keep(); return nil })
		b.add("a", 1, 2)
		o := b.Own("a")
		b.sees("a: 1-0 2-0")
		p := batch.Keep()
		p.Upto("2-0")
		require.NoError(t, batch.SaveState("after"))
		p.Handled()
		b.sees()
		require.Equal(t, "2-0", o.Position())
		require.Equal(t, "after", o.State())
	})
}

// Finish that comes with another error, or as the reason of At, does not say that all is handled.
func TestFinishThatIsJoinedWithAFailure(t *testing.T) {
	for name, err := range map[string]error{
		"joined": errors.Join(feed.Finish, errNo), "at": feed.At("2-0", feed.Finish),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, feed.Config{RetryDelay: time.Minute}, func(b *bench) {
				b.does(func(context.Context, *feed.Batch) error { return err })
				b.add("a", 1, 2)
				o := b.Own("a")
				b.sees("a: 1-0 2-0")
				require.NotEqual(t, "2-0", o.Position())
			})
		})
	}
	inBubble(t, feed.Config{}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { return errors.Join(nil, feed.Finish) })
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		require.True(t, ended(o))
		require.NoError(t, o.Err())
	})
}

// Snooze brings the same messages again, together.
func TestSnoozeBringsTheBatchAgainAsItWas(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { return api.Snooze(time.Minute) })
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		b.sees("a: 1-0 2-0 3-0")
		b.seesAfter(time.Minute, "a: 1-0 2-0 3-0")
		require.Zero(t, o.Failures())
		b.does(nil)
		b.seesAfter(time.Minute, "a: 1-0 2-0 3-0")
		require.Equal(t, "3-0", o.Position())
	})
}

// Code of the user that ends the lease itself ends the reading of the stream, which may then be owned again.
func TestLeaseThatTheUserEnds(t *testing.T) {
	for name, end := range map[string]func(l api.Lease) error{
		"Done":    func(l api.Lease) error { return l.Done(context.Background()) },
		"Release": func(l api.Lease) error { return l.Release(context.Background()) },
		"Fail":    func(l api.Lease) error { return l.Fail(context.Background(), errNo) },
	} {
		t.Run(name, func(t *testing.T) {
			var stops int
			inBubble(t, feed.Config{
				OnSignal: func(_ context.Context, l api.Lease, _ []byte) { _ = end(l) },
				OnStart:  func(context.Context, api.Lease, string) error { return nil },
				OnStop:   func(api.Lease, error) { stops++ },
			}, func(b *bench) {
				b.does(func(_ context.Context, batch *feed.Batch) error { return end(batch.Lease) })
				b.add("in the handler", 1)
				o := b.Own("in the handler")
				b.sees("in the handler: 1-0")
				require.True(t, ended(o))
				require.Equal(t, 1, stops)

				// at rest, by a signal
				o = b.Own("at rest")
				b.sees()
				o.Signal(nil)
				require.True(t, ended(o))
				require.Equal(t, 2, stops)

				// at rest, by anybody: noticed when it is read next
				o = b.Own("at rest")
				b.sees()
				require.NoError(t, end(o.Lease))
				b.add("at rest", 1)
				b.sees()
				require.True(t, ended(o))
				require.Equal(t, 3, stops)
				require.Zero(t, b.Stats().Bytes)
				require.Zero(t, b.Stats().Streams)
			})
		})
	}
}

// A hand-back stores what Upto has said, however seldom positions are stored otherwise: a batch that is kept may not end in time.
func TestReleaseStoresThePositionOfAKeptBatch(t *testing.T) {
	keeping(t, feed.Config{CheckpointEvery: time.Hour}, func(b *bench, pending func() *feed.Pending) {
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		b.sees("a: 1-0 2-0 3-0")
		pending().Upto("1-0")
		require.Empty(t, o.Position())
		o.Release()
		b.sees()
		require.Equal(t, "1-0", o.Position())
		pending().Upto("2-0")
		require.Equal(t, "2-0", o.Position())
		pending().Handled()
		require.True(t, ended(o))
	})
}

// Trace: a stream is handed back while OnSignal runs for it, or is about to. OnStop waits for what runs, and is the last that is called.
func TestOnStopIsCalledWhenOnSignalHasReturned(t *testing.T) {
	var b *bench
	c := feed.Config{
		Workers: 4,
		OnStart: func(context.Context, api.Lease, string) error { return nil },
		OnSignal: func(_ context.Context, l api.Lease, payload []byte) {
			b.write("%s: signal %s", l.Stream(), payload)
			time.Sleep(time.Second)
			b.write("%s: signal %s is handled", l.Stream(), payload)
		},
		OnStop: func(l api.Lease, _ error) {
			b.write("%s: stop", l.Stream())
			time.Sleep(time.Second)
			b.write("%s: stopped", l.Stream())
		},
	}
	inBubble(t, c, func(bench *bench) {
		b = bench
		o := b.Own("a")
		b.sees()
		o.Signal([]byte("x"))
		o.Signal([]byte("is dropped"))
		b.sees("a: signal x")
		o.Release()
		b.sees()
		o.Signal([]byte("is too late"))
		require.False(t, ended(o))
		b.seesAfter(time.Second, "a: signal x is handled", "a: stop")
		o.Signal([]byte("is too late"))
		b.seesAfter(time.Second, "a: stopped")
		require.True(t, ended(o))
		b.seesAfter(time.Minute)

		// at the same time
		o = b.Own("a")
		b.sees()
		o.Release()
		o.Signal([]byte("y"))
		b.seesAfter(time.Second, "a: stop", "a: stopped")
		require.True(t, ended(o))
		require.Zero(t, b.Stats())
	})
}

// A delay that has passed already is no delay, and no loop that takes a worker and the server for itself.
func TestSnoozeForNoTimePauses(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		calls := 0
		b.does(func(context.Context, *feed.Batch) error {
			if calls++; calls > 1000 {
				return nil
			}
			return api.Snooze(0)
		})
		b.add("a", 1)
		o := b.Own("a")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Less(t, calls, 102)
		require.Greater(t, calls, 50)
		require.Zero(t, o.Failures())
	})
}
