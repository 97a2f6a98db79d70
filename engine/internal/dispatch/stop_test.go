package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert" // require may not be used outside the goroutine of the test
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

func TestWaits(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		d := dispatcherFor(t, Config{Workers: 1, Deliver: func(_ api.Notification, done func(error)) {
			time.Sleep(time.Minute)
			done(nil)
		}})
		require.NoError(t, d.Wait(t.Context()), "nothing was posted")
		d.Post(note("a", 1))
		d.Post(note("b", 1))

		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the cause"))
		defer cancel()
		err := d.Wait(ctx)
		require.ErrorContains(t, err, `1 notifications running (the longest for stream "a") and 1 queued: the cause`)

		var waiters sync.WaitGroup
		for range 3 {
			waiters.Go(func() { assert.NoError(t, d.Wait(t.Context())) })
		}
		waiters.Wait()
		require.False(t, d.Busy("a") || d.Busy("b"))
		require.NoError(t, d.Wait(ctx), "nothing is outstanding: the context does not matter")
	})
}

func TestStopsUnusedAndTwice(t *testing.T) {
	leakCheck(t)
	d, err := New(Config{Workers: 4, Deliver: func(_ api.Notification, done func(error)) { done(nil) }})
	require.NoError(t, err)
	var stops sync.WaitGroup
	for range 4 {
		stops.Go(func() { assert.NoError(t, d.Stop(context.Background())) })
	}
	stops.Wait()
	require.NoError(t, d.Stop(context.Background()))
	require.False(t, d.Post(note("a", 1)))
	require.False(t, d.Busy("a"))
	require.Zero(t, d.Queued())
	require.NoError(t, d.Wait(context.Background()))
}

// Handlers that hang must not hold up a Stop whose context ends. How they end is reported all the same, and the workers end with
// them even if nobody calls Stop again.
func TestStopDoesNotWaitForeverForHandlers(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var log logbook
		release := make(chan struct{})
		dones := make(chan func(error), 1)
		d, err := New(Config{
			Workers: 2,
			Deliver: func(n api.Notification, done func(error)) {
				log.add("deliver %s%d", n.Stream, n.Token)
				if n.Stream == "later" {
					dones <- done
					return
				}
				<-release
				done(nil)
			},
			Finished: func(n api.Notification, err error, _ time.Duration) {
				log.add("finished %s%d %v", n.Stream, n.Token, err)
			},
			Idle: func(stream string) { log.add("idle %s", stream) },
		})
		require.NoError(t, err)
		for _, stream := range []string{"later", "a", "b", "c"} {
			d.Post(note(stream, 1))
			d.Post(note(stream, 2))
			synctest.Wait()
		}
		require.Equal(t, []string{"deliver later1", "deliver a1", "deliver b1"}, log.take())

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var stops sync.WaitGroup
		for range 3 {
			stops.Go(func() {
				err := d.Stop(ctx)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, "3 notifications running")
			})
		}
		stops.Wait()
		require.Zero(t, d.Queued())
		require.False(t, d.Post(note("a", 3)))
		require.True(t, d.Busy("a"))
		require.False(t, d.Busy("c"))

		var again sync.WaitGroup
		again.Go(func() { assert.NoError(t, d.Stop(context.Background())) })
		synctest.Wait()
		close(release)
		synctest.Wait()
		require.ElementsMatch(t, []string{"finished a1 <nil>", "idle a", "finished b1 <nil>", "idle b"}, log.take())
		(<-dones)(nil)
		again.Wait()
		require.Equal(t, []string{"finished later1 <nil>", "idle later"}, log.take())
		synctest.Wait()
		require.Zero(t, d.pool.Running())
		require.Zero(t, d.mu.active)
	})
}

func TestStopEndsWaits(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		delivered := 0
		d, err := New(Config{Workers: 1, Deliver: func(_ api.Notification, done func(error)) {
			delivered++
			time.Sleep(time.Second)
			done(nil)
		}})
		require.NoError(t, err)
		for i := range 100 {
			d.Post(note(fmt.Sprint("s", i), 1))
		}
		synctest.Wait()
		start := time.Now()
		var waiter sync.WaitGroup
		waiter.Go(func() { assert.NoError(t, d.Wait(t.Context())) })
		synctest.Wait()
		require.NoError(t, d.Stop(t.Context()))
		waiter.Wait()
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, 1, delivered)
	})
}

// Whenever the stop comes, all that was accepted is delivered but for the last of each stream, and nothing starts after Stop has
// returned.
func TestStopsUnderLoad(t *testing.T) {
	leakCheck(t)
	const workers, posters, streams = 3, 3, 50
	for range 50 {
		var delivered, accepted atomic.Int64
		var stopped, late, gap atomic.Bool
		var next [posters * streams]atomic.Int64 // of each stream, what is to be delivered next
		d, err := New(Config{Workers: workers, Deliver: func(n api.Notification, done func(error)) {
			if stopped.Load() {
				late.Store(true)
			}
			var stream int
			if _, err := fmt.Sscan(n.Stream, &stream); err != nil || next[stream].Add(1) != int64(n.Token) {
				gap.Store(true)
			}
			delivered.Add(1)
			done(nil)
		}})
		require.NoError(t, err)
		var group sync.WaitGroup
		for p := range posters {
			group.Go(func() {
				for i := 0; d.Post(note(fmt.Sprint(p*streams+i%streams), i/streams+1)); i++ {
					accepted.Add(1)
				}
			})
		}
		require.Eventually(t, func() bool { return delivered.Load() > 100 }, time.Minute, time.Microsecond)
		require.NoError(t, d.Stop(context.Background()))
		stopped.Store(true)
		group.Wait()
		require.LessOrEqual(t, delivered.Load(), accepted.Load())
		require.False(t, gap.Load(), "lost, delivered twice, or out of order")
		require.False(t, late.Load())
		require.Empty(t, d.mu.boxes)
	}
}
