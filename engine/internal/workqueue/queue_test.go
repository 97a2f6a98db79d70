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

// oneLane is that of partitions which are all on one server.
func oneLane(int) int { return 0 }

// queueFor makes a crew that is stopped at the end.
func queueFor(t *testing.T, partitions, limit int, run func(context.Context, int) time.Duration) *Queue {
	c := New(context.Background(), partitions, limit, oneLane, run)
	t.Cleanup(c.Stop)
	return c
}

func TestQueueNeverRunsAPartitionTwiceAtOnce(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var running [3]atomic.Int32
		var runs [3]atomic.Int32
		c := queueFor(t, 3, 8, func(_ context.Context, p int) time.Duration {
			if running[p].Add(1) != 1 {
				t.Error("twice at once")
			}
			time.Sleep(time.Millisecond)
			running[p].Add(-1)
			runs[p].Add(1)
			return Idle
		})
		var group sync.WaitGroup
		for i := range 30 {
			group.Go(func() {
				for range 100 {
					c.Add(i % 3)
					time.Sleep(time.Duration(i) * 10 * time.Microsecond)
				}
			})
		}
		group.Wait()
		pass(time.Second)
		for p := range runs {
			require.Positive(t, runs[p].Load())
			require.Less(t, runs[p].Load(), int32(1000), "what wakes it while it runs is done in one go")
		}
	})
}

// Whatever wakes a partition while its work runs is not lost: it runs again.
func TestQueueRunsAgainWhenWokenWhileRunning(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var seen, want atomic.Int32
		c := queueFor(t, 1, 1, func(context.Context, int) time.Duration {
			seen.Store(want.Load())
			time.Sleep(time.Millisecond)
			return Idle
		})
		for i := range int32(50) {
			want.Store(i)
			c.Add(0)
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
		c := queueFor(t, 1, 1, func(context.Context, int) time.Duration {
			at = append(at, time.Since(began))
			return after[len(at)-1]
		})
		c.Add(0)
		pass(10 * time.Second)
		c.Add(0) // earlier than it wanted
		pass(10 * time.Minute)
		require.Equal(t, []time.Duration{0, 3 * time.Second, 3 * time.Second, 8 * time.Second, 10 * time.Second, 68 * time.Second}, at)
	})
}

// One partition that hangs keeps one goroutine busy and no other partition waiting.
func TestQueueGoesOnBesideAHungPartition(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		c := queueFor(t, 10, 2, func(ctx context.Context, p int) time.Duration {
			if p == 0 {
				<-ctx.Done()
				return Idle
			}
			runs.Add(1)
			return 100 * time.Millisecond
		})
		for p := range 10 {
			c.Add(p)
		}
		pass(10*time.Second + 50*time.Millisecond)
		require.EqualValues(t, 9*101, runs.Load())
	})
}

// A master that hangs, with more partitions on it than may be asked at once, keeps its own goroutines busy and holds up no
// partition of another; one that goes to another master goes on there.
func TestQueueKeepsMastersApart(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		const partitions, limit = 12, 2
		var away [partitions]atomic.Bool // not on the master that hangs
		var runs [partitions]atomic.Int32
		for p := range partitions {
			away[p].Store(p >= partitions/2)
		}
		c := New(context.Background(), partitions, limit, func(p int) int {
			if away[p].Load() {
				return 1
			}
			return 0
		}, func(ctx context.Context, p int) time.Duration {
			runs[p].Add(1)
			if !away[p].Load() {
				<-ctx.Done()
			}
			return 100 * time.Millisecond
		})
		t.Cleanup(c.Stop)
		for p := range partitions {
			c.Add(p)
		}
		pass(time.Second + 50*time.Millisecond)
		hung := 0
		for p := range partitions {
			if away[p].Load() {
				require.EqualValues(t, 11, runs[p].Load(), p)
			} else {
				hung += int(runs[p].Load())
			}
		}
		require.Equal(t, limit, hung)

		// The last of them is found on the other master.
		const moved = partitions/2 - 1
		require.Zero(t, runs[moved].Load())
		away[moved].Store(true)
		c.Regroup()
		pass(time.Second + 50*time.Millisecond)
		require.EqualValues(t, 11, runs[moved].Load())
		require.Zero(t, runs[moved-1].Load())
	})
}

func TestStop(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		c := New(context.Background(), 4, 2, oneLane, func(ctx context.Context, p int) time.Duration {
			runs.Add(1)
			<-ctx.Done()
			return time.Second
		})
		for p := range 4 {
			c.Add(p)
		}
		synctest.Wait()
		require.EqualValues(t, 2, runs.Load())
		var group sync.WaitGroup
		for range 4 {
			group.Go(c.Stop)
		}
		group.Wait()
		c.Add(0)
		pass(time.Minute)
		require.EqualValues(t, 2, runs.Load(), "nothing runs after stop, timers included")
		c.Stop()
	})
}

// rest waits for what runs, and not for ever.
func TestWaitIdle(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		c := queueFor(t, 2, 2, func(_ context.Context, p int) time.Duration {
			time.Sleep(time.Duration(p+1) * time.Second)
			return Idle
		})
		began := time.Now()
		c.WaitIdle(context.Background(), 0)
		require.Zero(t, time.Since(began))
		c.Add(0)
		c.Add(1)
		synctest.Wait()
		c.WaitIdle(context.Background(), 0)
		require.Equal(t, time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		c.WaitIdle(ctx, 1)
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
