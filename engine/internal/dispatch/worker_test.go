package dispatch

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

// done may be called on another goroutine while Deliver still runs. The stream's next delivery must not start before Deliver has
// returned.
func TestWaitsForDeliverToReturnAfterDone(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var log logbook
		d := dispatcherFor(t, Config{
			Workers: 2,
			Deliver: func(n api.Notification, done func(error)) {
				log.add("enter %d", n.Token)
				go done(nil)
				time.Sleep(time.Second)
				log.add("leave %d", n.Token)
			},
			Finished: func(n api.Notification, _ error, took time.Duration) { log.add("finished %d %v", n.Token, took) },
		})
		d.Post(note("a", 1))
		d.Post(note("a", 2))
		require.NoError(t, d.Wait(t.Context()))
		require.Equal(t, []string{
			"enter 1", "leave 1", "finished 1 0s",
			"enter 2", "leave 2", "finished 2 0s",
		}, log.take())
	})
}

func TestIgnoresDoneCalledAgain(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var log logbook
		dones := make(chan func(error), 10)
		d := dispatcherFor(t, Config{
			Workers: 1,
			Deliver: func(n api.Notification, done func(error)) {
				if n.Token == 1 {
					done(nil)
					done(errors.New("again"))
				}
				dones <- done
			},
			Finished: func(n api.Notification, err error, _ time.Duration) { log.add("%d %v", n.Token, err) },
		})
		// The first delivery is completed, and its mailbox discarded, before the second starts in the same mailbox.
		d.Post(note("a", 1))
		require.NoError(t, d.Wait(t.Context()))
		first := <-dones
		d.Post(note("a", 2))
		d.Post(note("a", 3))
		synctest.Wait()
		first(errors.New("late"))
		synctest.Wait()
		require.Equal(t, []string{"1 <nil>"}, log.take(), "a late done must not end another delivery")
		require.Equal(t, 1, d.Running())

		second := <-dones
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() { second(nil) })
		}
		callers.Wait()
		synctest.Wait()
		require.Equal(t, []string{"2 <nil>"}, log.take())
		(<-dones)(nil)
		second(errors.New("late"))
		synctest.Wait()
		require.Equal(t, []string{"3 <nil>"}, log.take())
	})
}

func TestTurnsAPanicIntoAnError(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		cause := errors.New("cause")
		var got []error
		var left func(error)
		d := dispatcherFor(t, Config{
			Workers: 1,
			Deliver: func(n api.Notification, done func(error)) {
				switch n.Token {
				case 1:
					panic("before done")
				case 2:
					done(cause)
					panic("after done")
				case 3:
					left = done
					panic(cause)
				case 4:
					left(errors.New("late")) // ended by the panic: nothing happens
					done(nil)
				}
			},
			Finished: func(_ api.Notification, err error, _ time.Duration) { got = append(got, err) },
		})
		for i := 1; i <= 4; i++ {
			d.Post(note("a", i))
		}
		require.NoError(t, d.Wait(t.Context()))
		require.Len(t, got, 4)

		var panicked *api.PanicError
		require.ErrorAs(t, got[0], &panicked)
		require.Equal(t, "before done", panicked.Value)
		require.Contains(t, string(panicked.Stack), "TestTurnsAPanicIntoAnError")
		require.ErrorAs(t, got[1], &panicked)
		require.Equal(t, "after done", panicked.Value)
		require.ErrorIs(t, got[1], cause)
		require.ErrorAs(t, got[2], &panicked)
		require.Equal(t, cause, panicked.Value)
		require.NoError(t, got[3])
	})
}

// A handler that ends its goroutine ends its worker. The notification must end all the same, and many such handlers must not
// use up the pool.
func TestOutlivesHandlersThatEndTheirGoroutine(t *testing.T) {
	leakCheck(t)
	const workers, count = 2, 500
	var failed atomic.Int32
	d := dispatcherFor(t, Config{
		Workers: workers,
		Deliver: func(n api.Notification, done func(error)) {
			if n.Token%5 == 0 {
				done(nil)
			}
			runtime.Goexit()
		},
		Finished: func(_ api.Notification, err error, _ time.Duration) {
			if errors.Is(err, api.ErrGoexit) {
				failed.Add(1)
			}
		},
	})
	for i := range count {
		d.Post(note(fmt.Sprint("s", i%7), i))
	}
	require.NoError(t, d.Wait(t.Context()))
	require.EqualValues(t, count, failed.Load())
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.mu.active == 0 && !d.mu.starting
	}, time.Minute, time.Millisecond)
}
