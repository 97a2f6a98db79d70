package feed_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/feed/feedtest"
	"github.com/streamlease/streamlease/test/virtual"
)

func TestMessagesComeInOrderAndThePositionFollows(t *testing.T) {
	inBubble(t, feed.Config{MaxBatch: 2}, func(b *bench) {
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		b.sees("a: 1-0 2-0", "a: 3-0")
		require.Equal(t, "3-0", o.Position())
		b.add("a", 4)
		b.sees("a: 4-0")
		require.Equal(t, "4-0", o.Position())

		o.Release()
		require.True(t, ended(o))
		require.Equal(t, leasetest.HandedBack, o.Lease.Outcome().State)
		b.add("a", 5)
		b.sees()
		o = b.Own("a")
		b.sees("a: 5-0")
		require.Equal(t, "5-0", o.Position())
	})
}

// A message that comes while the handler has the batch before it rings a stream that is not read: it must be read after that.
func TestMessageThatComesWhileTheHandlerRunsIsReadAfterIt(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Second); return nil })
		b.Own("a")
		b.add("a", 1)
		b.sees("a: 1-0")
		b.add("a", 2)
		b.add("a", 3)
		b.sees()
		b.seesAfter(time.Second, "a: 2-0 3-0")
	})
}

// Streams are handled in parallel, as many as there are workers, and one that waits for its handler holds up no other.
func TestStreamsAreHandledInParallel(t *testing.T) {
	inBubble(t, feed.Config{Workers: 2}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Second); return nil })
		for _, s := range []string{"a", "b", "c"} {
			b.add(s, 1)
			b.Own(s)
		}
		synctest.Wait()
		require.Len(t, b.take(), 2)
		require.Equal(t, 1, b.Stats().Waiting)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, b.take(), 1)
	})
}

// A stream with a million waiting takes its turns behind the others.
func TestStreamWithManyMessagesTakesItsTurns(t *testing.T) {
	inBubble(t, feed.Config{Workers: 1, MaxBatch: 1}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Millisecond); return nil })
		for i := 1; i <= 100; i++ {
			b.add("a", i)
		}
		b.Own("a")
		synctest.Wait()
		b.add("b", 1)
		b.Own("b")
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		require.Contains(t, b.take(), "b: 1-0")
	})
}

// The position of one lease does not move by what was read under another, and nothing is handled for a lease that has ended.
func TestWhatWasReadUnderAnotherLeaseIsDropped(t *testing.T) {
	inBubble(t, feed.Config{Workers: 1}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Second); return nil })
		b.add("busy", 1)
		b.Own("busy")
		b.sees("busy: 1-0")
		b.add("a", 1)
		o := b.Own("a")
		b.sees() // read, and waiting for the worker
		o.Lose(nil)
		require.True(t, ended(o))
		require.Empty(t, o.Position())
		next := b.Own("a")
		b.seesAfter(time.Second, "a: 1-0")
		b.seesAfter(time.Second)
		require.Equal(t, "1-0", next.Position())
		require.Zero(t, b.Stats().Bytes)
	})
}

// A handler that does not see that its lease was lost keeps the stream busy here: no second one begins beside it.
func TestStuckHandlerOfALostLeaseKeepsTheStreamBusy(t *testing.T) {
	inBubble(t, feed.Config{}, func(b *bench) {
		b.does(func(ctx context.Context, _ *feed.Batch) error {
			time.Sleep(time.Hour)
			require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
			return nil
		})
		b.add("a", 1)
		o := b.Own("a")
		b.sees("a: 1-0")
		o.Lose(nil)
		require.False(t, ended(o))
		require.Panics(t, func() { b.Own("a") })
		time.Sleep(time.Hour)
		require.True(t, ended(o))
		require.Empty(t, o.Position(), "nothing is stored for a lost lease")
		b.does(nil)
		b.Own("a")
		b.sees("a: 1-0")
	})
}

// Drain: the batch at hand ends, what was read and not begun is dropped, and the position goes along.
func TestReleaseEndsTheBatchAtHandAndDropsTheRest(t *testing.T) {
	inBubble(t, feed.Config{MaxBatch: 1}, func(b *bench) {
		b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Second); return nil })
		b.add("a", 1, 2, 3)
		o := b.Own("a")
		b.sees("a: 1-0")
		o.Release()
		require.False(t, ended(o))
		b.seesAfter(time.Second)
		require.True(t, ended(o))
		require.Equal(t, leasetest.HandedBack, o.Lease.Outcome().State)
		require.Equal(t, "1-0", o.Position())
		b.Own("a")
		b.sees("a: 2-0")
		time.Sleep(time.Minute)
	})
}

// A stream is handed back in every phase, and nothing is left of it.
func TestReleaseAndLossInEveryPhase(t *testing.T) {
	phases := map[string]struct {
		config feed.Config
		bring  func(b *bench) // the stream into the phase
		free   func(b *bench) // what ends code of the user, where it runs
	}{
		"resting": {bring: func(b *bench) {}},
		"delayed": {bring: func(b *bench) {
			b.does(func(context.Context, *feed.Batch) error { return errors.New("no") })
			b.add("a", 1)
		}},
		"running": {bring: func(b *bench) {
			b.does(func(context.Context, *feed.Batch) error { time.Sleep(time.Minute); return nil })
			b.add("a", 1)
		}},
		"starting": {config: feed.Config{OnStart: func(context.Context, api.Lease, string) error { time.Sleep(time.Minute); return nil }},
			bring: func(b *bench) {}},
		"told of a gap": {config: feed.Config{OnGap: func(context.Context, feed.Gap) { time.Sleep(time.Minute) }},
			bring: func(b *bench) { b.add("a", 9); synctest.Wait(); b.Delete("a"); b.add("a", 1) }},
		"being skipped": {config: feed.Config{OnFailure: feed.Skip, OnSkip: func(context.Context, api.Lease, feed.Message, error) error {
			time.Sleep(time.Minute)
			return nil
		}}, bring: func(b *bench) {
			b.does(func(context.Context, *feed.Batch) error { return api.Permanent(errors.New("no")) })
			b.add("a", 1)
		}},
	}
	for name, phase := range phases {
		for _, how := range []string{"drain", "rebalance", "loss"} {
			for _, stops := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", name, how, stops), func(t *testing.T) {
					var why []error
					c := phase.config
					if stops {
						c.OnStop = func(_ api.Lease, err error) { why = append(why, err) }
					}
					inBubble(t, c, func(b *bench) {
						o := b.Own("a")
						synctest.Wait()
						phase.bring(b)
						synctest.Wait()
						want := api.ErrLeaseLost
						switch how {
						case "drain":
							want = api.ErrDraining
							o.Release()
						case "rebalance":
							want = api.ErrRebalanced
							o.ReleaseFor(want)
						default:
							o.Lose(nil)
						}
						time.Sleep(2 * time.Minute)
						require.True(t, ended(o))
						require.NoError(t, o.Err())
						require.ErrorIs(t, context.Cause(o.Lease.Context()), want)
						require.Zero(t, b.Stats())
						if stops {
							require.Len(t, why, 1)
							require.ErrorIs(t, why[0], want)
						}
						b.does(nil)
						next := b.Own("a")
						time.Sleep(3 * time.Minute)
						require.False(t, ended(next))
						require.Zero(t, b.Stats().Busy)
					})
				})
			}
		}
	}
}

// Whatever happens in whatever order, each stream has one batch at a time, no message is skipped, and none is handled under a lease after a
// later one.
func TestModelOfOrder(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) { modelOfOrder(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func modelOfOrder(t *testing.T, source *rand.Rand) {
	var drawing sync.Mutex
	draw := func(n int) int {
		drawing.Lock()
		defer drawing.Unlock()
		return source.IntN(n)
	}
	const streams = 5
	var mu sync.Mutex
	running := make(map[string]bool)
	handled := make(map[string]int) // the last number
	added := make(map[string]int)
	chance := func(n int) bool { return draw(n) == 0 }
	handler := func(_ context.Context, b *feed.Batch) error {
		stream := b.Lease.Stream()
		mu.Lock()
		defer mu.Unlock()
		require.False(t, running[stream], "two batches at once")
		running[stream] = true
		wait := time.Duration(draw(1000)) * time.Millisecond
		outcome := draw(8)
		mu.Unlock()
		time.Sleep(wait)
		mu.Lock()
		running[stream] = false
		if b.Lease.Remaining() == 0 {
			return nil
		}
		last := handled[stream]
		note := func(messages []feed.Message) {
			for _, m := range messages {
				var n int
				value, _ := m.Get("n")
				fmt.Sscan(value, &n)
				require.LessOrEqual(t, n, last+1, "a message was skipped")
				last = max(last, n)
			}
			handled[stream] = last
		}
		switch outcome {
		case 0:
			return errors.New("once more")
		case 1:
			p := b.Keep()
			running[stream] = true
			go func() {
				time.Sleep(wait)
				mu.Lock()
				running[stream] = false
				if b.Lease.Remaining() > 0 {
					half := len(b.Messages) / 2
					note(b.Messages[:half+1])
					defer p.Upto(b.Messages[half].ID)
				}
				mu.Unlock()
				p.Retry(errors.New("the other half"))
			}()
			return nil
		case 2:
			panic("no")
		}
		note(b.Messages)
		return nil
	}
	f := feedtest.New(handler, feed.Config{Workers: 3, MaxBatch: 4, MaxRetries: 10_000, MaxRetryDelay: 2 * time.Second})
	defer f.Close()
	owned := make(map[string]*feedtest.Ownership)
	for range 300 {
		stream := fmt.Sprint("s", draw(streams))
		mu.Lock()
		o := owned[stream]
		what := draw(4)
		mu.Unlock()
		switch {
		case what < 2:
			for range 1 + draw(6) {
				mu.Lock()
				added[stream]++
				n := added[stream]
				mu.Unlock()
				f.Add(stream, feed.Field{Name: "n", Value: fmt.Sprint(n)})
			}
		case o == nil || ended(o):
			owned[stream] = f.Own(stream)
		case chance(2):
			o.Release()
		case chance(2):
			o.Lose(nil)
		}
		mu.Lock()
		wait := time.Duration(draw(500)) * time.Millisecond
		mu.Unlock()
		time.Sleep(wait)
	}
	for i := range streams {
		stream := fmt.Sprint("s", i)
		if o := owned[stream]; o == nil || ended(o) {
			owned[stream] = f.Own(stream)
		}
	}
	time.Sleep(5 * time.Minute)
	for i := range streams {
		stream := fmt.Sprint("s", i)
		if o := owned[stream]; ended(o) {
			f.Own(stream)
		}
	}
	time.Sleep(5 * time.Minute)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, added, handled)
}
