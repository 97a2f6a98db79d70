package workqueue

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/virtual"
)

// pass lets virtual time pass, and everything that follows from it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// oneLane puts all keys into one lane.
func oneLane(int) int { return 0 }

// queueFor makes a queue that is stopped at the end of the test.
func queueFor(t *testing.T, keys, limit int, run func(context.Context, int) time.Duration) *Queue {
	q := New(context.Background(), keys, limit, oneLane, run)
	t.Cleanup(q.Stop)
	return q
}

func TestQueueNeverRunsAKeyTwiceAtOnce(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var running [3]atomic.Int32
		var runs [3]atomic.Int32
		q := queueFor(t, 3, 8, func(_ context.Context, key int) time.Duration {
			if running[key].Add(1) != 1 {
				t.Error("twice at once")
			}
			time.Sleep(time.Millisecond)
			running[key].Add(-1)
			runs[key].Add(1)
			return Idle
		})
		var group sync.WaitGroup
		for i := range 30 {
			group.Go(func() {
				for range 100 {
					q.Add(i % 3)
					time.Sleep(time.Duration(i) * 10 * time.Microsecond)
				}
			})
		}
		group.Wait()
		pass(time.Second)
		for key := range runs {
			require.Positive(t, runs[key].Load())
			require.Less(t, runs[key].Load(), int32(1000), "however often a key is added while it runs, it is run once more")
		}
	})
}

// A key that is added while its work runs is not forgotten: it runs again.
func TestQueueRunsAgainWhenAddedWhileRunning(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var seen, want atomic.Int32
		q := queueFor(t, 1, 1, func(context.Context, int) time.Duration {
			seen.Store(want.Load())
			time.Sleep(time.Millisecond)
			return Idle
		})
		for i := range int32(50) {
			want.Store(i)
			q.Add(0)
			time.Sleep(300 * time.Microsecond)
		}
		pass(10 * time.Millisecond)
		require.Equal(t, want.Load(), seen.Load())
	})
}

func TestQueueDelays(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		after := []time.Duration{3 * time.Second, 0, 5 * time.Second, time.Minute, Idle, Idle}
		q := queueFor(t, 1, 1, func(context.Context, int) time.Duration {
			at = append(at, time.Since(began))
			return after[len(at)-1]
		})
		q.Add(0)
		pass(10 * time.Second)
		q.Add(0) // earlier than it wanted
		pass(10 * time.Minute)
		require.Equal(t, []time.Duration{0, 3 * time.Second, 3 * time.Second, 8 * time.Second, 10 * time.Second, 68 * time.Second}, at)
	})
}

// One key that hangs keeps one goroutine busy and no other key waiting.
func TestQueueGoesOnBesideAHungKey(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		q := queueFor(t, 10, 2, func(ctx context.Context, key int) time.Duration {
			if key == 0 {
				<-ctx.Done()
				return Idle
			}
			runs.Add(1)
			return 100 * time.Millisecond
		})
		for key := range 10 {
			q.Add(key)
		}
		pass(10*time.Second + 50*time.Millisecond)
		require.EqualValues(t, 9*101, runs.Load())
	})
}

// A lane that hangs, with more keys in it than may run at a time, keeps its own goroutines busy and holds up no key of another
// lane; a key that changes lanes goes on there.
func TestQueueKeepsLanesApart(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		const keys, limit = 12, 2
		var away [keys]atomic.Bool // not in the lane that hangs
		var runs [keys]atomic.Int32
		for key := range keys {
			away[key].Store(key >= keys/2)
		}
		q := New(context.Background(), keys, limit, func(key int) int {
			if away[key].Load() {
				return 1
			}
			return 0
		}, func(ctx context.Context, key int) time.Duration {
			runs[key].Add(1)
			if !away[key].Load() {
				<-ctx.Done()
			}
			return 100 * time.Millisecond
		})
		t.Cleanup(q.Stop)
		for key := range keys {
			q.Add(key)
		}
		pass(time.Second + 50*time.Millisecond)
		hung := 0
		for key := range keys {
			if away[key].Load() {
				require.EqualValues(t, 11, runs[key].Load(), key)
			} else {
				hung += int(runs[key].Load())
			}
		}
		require.Equal(t, limit, hung)

		// The last of them changes to the other lane.
		const moved = keys/2 - 1
		require.Zero(t, runs[moved].Load())
		away[moved].Store(true)
		q.Regroup()
		pass(time.Second + 50*time.Millisecond)
		require.EqualValues(t, 11, runs[moved].Load())
		require.Zero(t, runs[moved-1].Load())
	})
}

func TestStop(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		q := New(context.Background(), 4, 2, oneLane, func(ctx context.Context, key int) time.Duration {
			runs.Add(1)
			<-ctx.Done()
			return time.Second
		})
		for key := range 4 {
			q.Add(key)
		}
		synctest.Wait()
		require.EqualValues(t, 2, runs.Load())
		var group sync.WaitGroup
		for range 4 {
			group.Go(q.Stop)
		}
		group.Wait()
		q.Add(0)
		pass(time.Minute)
		require.EqualValues(t, 2, runs.Load(), "nothing runs after Stop, timers included")
		q.Stop()
	})
}

// WaitIdle waits for what runs, and not for ever.
func TestWaitIdle(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		q := queueFor(t, 2, 2, func(_ context.Context, key int) time.Duration {
			time.Sleep(time.Duration(key+1) * time.Second)
			return Idle
		})
		began := time.Now()
		q.WaitIdle(context.Background(), 0)
		require.Zero(t, time.Since(began))
		q.Add(0)
		q.Add(1)
		synctest.Wait()
		q.WaitIdle(context.Background(), 0)
		require.Equal(t, time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		q.WaitIdle(ctx, 1)
		require.Equal(t, 1500*time.Millisecond, time.Since(began))
		pass(time.Second)
	})
}

func TestSooner(t *testing.T) {
	for _, x := range []struct{ a, b, want time.Duration }{
		{Idle, Idle, Idle},
		{Idle, 0, 0},
		{time.Second, Idle, time.Second},
		{time.Second, 0, 0},
		{time.Second, time.Minute, time.Second},
	} {
		require.Equal(t, x.want, Sooner(x.a, x.b))
		require.Equal(t, x.want, Sooner(x.b, x.a))
	}
}
