package feed_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed"
)

var errNo = errors.New("no")

// failsAt fails every batch that has one of these messages.
func failsAt(err error, ids ...string) func(context.Context, *feed.Batch) error {
	return func(_ context.Context, b *feed.Batch) error {
		for _, m := range b.Messages {
			for _, id := range ids {
				if m.ID == id {
					return err
				}
			}
		}
		return nil
	}
}

// Same messages again, one at a time, after a delay that grows; the others go on.
func TestFailureBringsTheSameMessagesOneAtATime(t *testing.T) {
	inBubble(t, feed.Config{RetryDelay: 10 * time.Second}, func(b *bench) {
		b.does(failsAt(errNo, "2-0"))
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		b.sees("a: 1-0 2-0 3-0")
		require.Equal(t, 1, o.Failures())
		require.Zero(t, b.Stats().Bytes, "what waits for a retry takes no memory")
		require.Equal(t, 1, b.Stats().Retrying)
		b.add("b", 1)
		b.Own("b")
		b.sees("b: 1-0")
		b.seesAfter(10*time.Second, "a: 1-0", "a: 2-0")
		require.Equal(t, "1-0", o.Position())
		require.Equal(t, 1, o.Failures(), "of another message")
		b.seesAfter(10*time.Second, "a: 2-0")
		b.does(nil)
		b.seesAfter(20*time.Second, "a: 2-0", "a: 3-0")
		b.add("a", 4)
		b.sees("a: 4-0")
		require.Equal(t, "4-0", o.Position())
	})
}

// MaxRetries counts per position, and is kept with the checkpoint: another owner goes on counting.
func TestFailuresAreCountedAcrossOwners(t *testing.T) {
	inBubble(t, feed.Config{MaxRetries: 2, RetryDelay: time.Second}, func(b *bench) {
		b.does(failsAt(errNo, "1-0"))
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		o.Release()
		require.True(t, ended(o))
		o = b.Own("a")
		b.sees("a: 1-0")
		require.Equal(t, 2, o.Failures())
		b.seesAfter(2*time.Second, "a: 1-0")
		require.True(t, ended(o))
		require.ErrorIs(t, o.Err(), errNo)
		require.Equal(t, leasetest.Failed, o.Lease.Outcome().State)
		require.Equal(t, "0-0", o.Position())

		o = b.Own("a", leasetest.WithAttempt(1)) // the engine hands it out again: one try each
		b.sees("a: 1-0")
		require.True(t, ended(o))
	})
}

func TestPermanentAndAtApplyAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		err       error
		skips     bool
		sees      []string
		position  string
		permanent bool
	}{
		"permanent, fail": {err: api.Permanent(errNo), sees: []string{"a: 1-0 2-0 3-0"}, position: "0-0", permanent: true},
		"permanent, skip": {err: api.Permanent(errNo), skips: true, sees: []string{"a: 1-0 2-0 3-0", "a: 1-0", "a: 2-0", "a: 3-0"}, position: "3-0"},
		"at, fail":        {err: feed.At("2-0", errNo), sees: []string{"a: 1-0 2-0 3-0"}, position: "1-0"},
		"at, skip":        {err: feed.At("2-0", errNo), skips: true, sees: []string{"a: 1-0 2-0 3-0", "a: 3-0"}, position: "3-0"},
		"at nowhere":      {err: feed.At("9-0", errNo), sees: []string{"a: 1-0 2-0 3-0"}, position: "0-0"},
	} {
		t.Run(name, func(t *testing.T) {
			config := feed.Config{}
			if c.skips {
				config.OnFailure = feed.Skip
			}
			inBubble(t, config, func(b *bench) {
				b.does(failsAt(c.err, "2-0"))
				b.add("a", 1, 2, 3)
				o := b.Own("a")
				b.sees(c.sees...)
				require.Equal(t, c.position, o.Position())
				if name != "at nowhere" {
					require.Equal(t, !c.skips, ended(o))
				}
				if ended(o) {
					require.ErrorIs(t, o.Err(), errNo)
					require.Equal(t, c.permanent, api.IsPermanent(o.Err()))
				}
			})
		})
	}
}

// Skip passes over exactly one message, after OnSkip was called with it; the innocent ones of its batch are handled.
func TestSkipPassesOverExactlyOneMessage(t *testing.T) {
	var skipped []string
	refuse := true
	c := feed.Config{MaxRetries: 1, OnFailure: feed.Skip, OnSkip: func(_ context.Context, l api.Lease, m feed.Message, err error) error {
		if refuse {
			refuse = false
			return errors.New("cannot be kept elsewhere now")
		}
		skipped = append(skipped, l.Stream()+" "+m.ID+" "+err.Error())
		return nil
	}}
	inBubble(t, c, func(b *bench) {
		b.does(failsAt(errNo, "2-0"))
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		time.Sleep(time.Minute)
		b.sees("a: 1-0 2-0 3-0", "a: 1-0", "a: 2-0", "a: 2-0", "a: 2-0", "a: 3-0")
		require.Equal(t, []string{"a 2-0 no"}, skipped)
		require.Equal(t, "3-0", o.Position())
		require.Zero(t, o.Failures())
	})
}

func TestNoRetries(t *testing.T) {
	inBubble(t, feed.Config{MaxRetries: feed.NoRetries, OnFailure: feed.Skip}, func(b *bench) {
		b.does(failsAt(errNo, "2-0"))
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		b.sees("a: 1-0 2-0 3-0", "a: 1-0", "a: 2-0", "a: 3-0")
		require.Equal(t, "3-0", o.Position())
	})
}

func TestSnoozeCountsNoFailure(t *testing.T) {
	inBubble(t, feed.Config{MaxRetries: 1}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { return api.Snooze(time.Hour) })
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		for range 3 {
			b.seesAfter(time.Hour, "a: 1-0")
		}
		require.Zero(t, o.Failures())
		require.False(t, ended(o))
	})
}

func TestPanicsAndGoexitAreErrors(t *testing.T) {
	for name, end := range map[string]func(){
		"panic": func() { panic("no") }, "goexit": runtime.Goexit, "typed nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, feed.Config{Workers: 1}, func(b *bench) {
				b.does(func(context.Context, *feed.Batch) error {
					if end == nil {
						var broken *brokenError
						return broken
					}
					end()
					return nil
				})
				b.add("a", 1)
				o := b.Own("a")
				b.sees("a: 1-0")
				require.Equal(t, 1, o.Failures())
				b.does(nil)
				b.seesAfter(time.Second, "a: 1-0")
				require.Equal(t, "1-0", o.Position())
			})
		})
	}
}

type brokenError struct{ text string }

func (e *brokenError) Error() string { return e.text }

// An error of a lost lease is nobody's business any more: nothing is stored, and nothing fails.
func TestErrorAfterTheLossStoresNothing(t *testing.T) {
	inBubble(t, feed.Config{MaxRetries: feed.NoRetries}, func(b *bench) {
		b.does(func(ctx context.Context, _ *feed.Batch) error { <-ctx.Done(); return ctx.Err() })
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		o.Lose(nil)
		require.True(t, ended(o))
		require.NoError(t, o.Err())
		require.Empty(t, o.Position())
	})
}

func TestUnreadableCheckpointFailsTheStream(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.add("a", 1)
		o := b.Own("a", leasetest.WithCheckpoint("f9 1-0 somebody's"))
		b.sees()
		require.True(t, ended(o))
		require.ErrorContains(t, o.Err(), `begins with "f9 1-0 somebody's"`)
		require.False(t, api.IsPermanent(o.Err()), "a newer version may read it")
		require.Equal(t, "f9 1-0 somebody's", o.Lease.NextCheckpoint())
	})
}

func TestMiddlewareWrapsTheHandler(t *testing.T) {
	var order []string
	wrap := func(name string) func(feed.Handler) feed.Handler {
		return func(next feed.Handler) feed.Handler {
			return func(ctx context.Context, b *feed.Batch) error {
				order = append(order, name)
				return next(ctx, b)
			}
		}
	}
	inBubble(t, feed.Config{Middleware: []func(feed.Handler) feed.Handler{wrap("outer"), wrap("inner")}}, func(b *bench) {
		b.add("a", 1)
		b.Own("a")
		b.sees("a: 1-0")
		require.Equal(t, []string{"outer", "inner"}, order)
	})
}

// Trace: a stream fails for good, and its producer goes on sending. Each message announces it, since nobody owns it, and each of these
// announcements is a first one: without a pause, the message that fails would be tried as often as producers send.
func TestStreamThatFailedPausesWhereItIsAnnouncedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		retries int
		pauses  []time.Duration
	}{
		"after retries": {errNo, feed.NoRetries, []time.Duration{10 * time.Second, 20 * time.Second}},
		"for good":      {api.Permanent(errNo), 1, []time.Duration{20 * time.Second, 20 * time.Second}},
		"at a message":  {feed.At("1-0", errNo), 1, []time.Duration{20 * time.Second, 20 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, feed.Config{MaxRetries: c.retries, RetryDelay: 10 * time.Second}, func(b *bench) {
				b.does(failsAt(c.err, "1-0"))
				b.add("a", 1)
				o := b.Own("a")
				b.sees("a: 1-0")
				require.True(t, ended(o))
				for i, pause := range c.pauses {
					b.add("a", 2+i)
					o = b.Own("a")
					b.sees()
					require.False(t, ended(o), "owned, so nobody announces it once more")
					b.seesAfter(pause * 3 / 4)
					b.seesAfter(pause/4, "a: 1-0")
					require.ErrorIs(t, o.Err(), errNo)
				}

				// An announcement that was retried has waited already, and the other one makes way for it.
				o = b.Own("a", leasetest.WithAttempt(1))
				b.sees("a: 1-0")
				require.ErrorIs(t, o.Err(), errNo)
				o = b.Own("a")
				b.sees()
				o.Supersede()
				require.True(t, ended(o))
				require.NoError(t, o.Err())
				b.does(nil)
				b.Own("a", leasetest.WithAttempt(1))
				b.sees("a: 1-0", "a: 2-0 3-0")
				require.Equal(t, feed.Stats{Streams: 1}, b.Stats())
			})
		})
	}
}

func TestOnStartAndOnStopFrameAnOwnership(t *testing.T) {
	var b *bench
	fails := false
	c := feed.Config{
		OnStart: func(_ context.Context, l api.Lease, state string) error {
			b.write("%s: start %q", l.Stream(), state)
			if fails {
				return api.Permanent(errNo)
			}
			return nil
		},
		OnStop: func(l api.Lease, why error) { b.write("%s: stop %v", l.Stream(), why) },
	}
	inBubble(t, c, func(bench *bench) {
		b = bench
		b.does(func(_ context.Context, batch *feed.Batch) error { return batch.SaveState("three") })
		b.add("a", 1)
		o := b.Own("a")
		b.sees(`a: start ""`, "a: 1-0")
		o.Release()
		b.sees("a: stop " + api.ErrDraining.Error())
		require.True(t, ended(o))
		fails = true
		o = b.Own("a")
		b.sees(`a: start "three"`)
		require.True(t, ended(o))
		require.True(t, api.IsPermanent(o.Err()))
		synctest.Wait()
	})
}
