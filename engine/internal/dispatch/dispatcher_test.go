package dispatch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

// leakCheck fails the test if goroutines that it started are left at its end.
func leakCheck(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// dispatcherFor makes a dispatcher that is stopped at the end of the test.
func dispatcherFor(t *testing.T, cfg Config) *Dispatcher {
	t.Helper()
	d, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Stop(context.Background())) })
	return d
}

func note(stream string, token int) api.Notification {
	return api.Notification{Kind: api.Added, Stream: stream, Token: api.Token(token)}
}

// logbook collects lines from several goroutines.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *logbook) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func TestRefusesAConfigThatCannotWork(t *testing.T) {
	deliver := func(_ api.Notification, done func(error)) { done(nil) }
	_, err := New(Config{Workers: 0, Deliver: deliver})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "Workers is 0")
	_, err = New(Config{Workers: 1})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

func TestRunsDifferentStreamsInParallelOnAtMostWorkers(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		const workers, streams = 3, 10
		before := runtime.NumGoroutine()
		var now, most atomic.Int32
		d := dispatcherFor(t, Config{Workers: workers, Deliver: func(_ api.Notification, done func(error)) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			now.Add(-1)
			done(nil)
		}})
		start := time.Now()
		for i := range streams {
			require.True(t, d.Post(note(fmt.Sprint("s", i), 1)))
		}
		synctest.Wait()
		require.Equal(t, workers, d.Running())
		require.Equal(t, streams-workers, d.Queued())
		// The workers and the pool's two housekeepers, whatever the number of streams.
		require.LessOrEqual(t, runtime.NumGoroutine(), before+workers+2)

		require.NoError(t, d.Wait(t.Context()))
		require.EqualValues(t, workers, most.Load())
		require.Equal(t, 4*time.Second, time.Since(start), "10 handlers of a second, 3 at a time")
		require.Zero(t, d.Running())
		require.Zero(t, d.Queued())
	})
}

func TestTakesStreamsInTurn(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var log logbook
		release := make(chan struct{})
		d := dispatcherFor(t, Config{Workers: 1, Deliver: func(n api.Notification, done func(error)) {
			<-release
			log.add("%s%d", n.Stream, n.Token)
			done(nil)
		}})
		for i := 1; i <= 3; i++ {
			d.Post(note("a", i))
		}
		d.Post(note("b", 1))
		d.Post(note("b", 2))
		d.Post(note("", 1)) // as Terminated has it
		close(release)
		require.NoError(t, d.Wait(t.Context()))
		require.Equal(t, []string{"a1", "b1", "1", "a2", "b2", "a3"}, log.take())
	})
}

func TestHoldsAStreamUntilDoneIsCalledLater(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var log logbook
		dones := make(chan func(error), 10)
		d := dispatcherFor(t, Config{
			Workers: 1,
			Deliver: func(n api.Notification, done func(error)) {
				log.add("deliver %s%d", n.Stream, n.Token)
				dones <- done
			},
			Finished: func(n api.Notification, err error, took time.Duration) {
				log.add("finished %s%d %v %v", n.Stream, n.Token, err, took)
			},
			Idle: func(stream string) { log.add("idle %s", stream) },
		})
		d.Post(note("a", 1))
		d.Post(note("a", 2))
		d.Post(note("b", 1))
		synctest.Wait()
		require.Equal(t, []string{"deliver a1", "deliver b1"}, log.take(), "a worker does not wait for done")
		require.Equal(t, 2, d.Running())
		require.Equal(t, 1, d.Queued())
		require.True(t, d.Busy("a"))
		require.True(t, d.Busy("b"))
		require.False(t, d.Busy("c"))

		time.Sleep(3 * time.Second)
		(<-dones)(errors.New("broken"))
		synctest.Wait()
		require.Equal(t, []string{"finished a1 broken 3s", "deliver a2"}, log.take())
		(<-dones)(nil)
		(<-dones)(nil)
		synctest.Wait()
		require.Equal(t, []string{"finished b1 <nil> 3s", "idle b", "finished a2 <nil> 0s", "idle a"}, log.take())
		require.False(t, d.Busy("a"))
		require.Empty(t, d.mu.boxes)
	})
}

func TestCallbacksMayPost(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var log logbook
		var d *Dispatcher
		d = dispatcherFor(t, Config{
			Workers: 1,
			Deliver: func(n api.Notification, done func(error)) {
				log.add("deliver %d", n.Token)
				if n.Token == 1 {
					d.Post(note("a", 2))
				}
				done(nil)
			},
			Finished: func(n api.Notification, _ error, _ time.Duration) {
				log.add("finished %d", n.Token)
				if n.Token == 2 {
					d.Post(note("a", 3))
				}
			},
			Idle: func(stream string) {
				log.add("idle %s busy=%v", stream, d.Busy(stream))
				if len(log.lines) < 10 {
					d.Post(note("a", 4))
				}
				time.Sleep(time.Second)
				log.add("idle over busy=%v", d.Busy(stream))
			},
		})
		d.Post(note("a", 1))
		require.NoError(t, d.Wait(t.Context()))
		require.Equal(t, []string{
			"deliver 1", "finished 1", "deliver 2", "finished 2", "deliver 3", "finished 3",
			"idle a busy=false", "idle over busy=true",
			"deliver 4", "finished 4",
			"idle a busy=false", "idle over busy=false",
		}, log.take())
		require.False(t, d.Busy("a"))
	})
}

func TestTellsWhoBlocks(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		dones := make(chan func(error), 10)
		d := dispatcherFor(t, Config{Workers: 2, Deliver: func(n api.Notification, done func(error)) {
			if n.Stream == "later" {
				dones <- done
				return
			}
			<-release
			done(nil)
		}})
		check := func(limit time.Duration, n int, example string) {
			t.Helper()
			synctest.Wait()
			gotN, gotExample := d.Blocked(time.Now(), limit)
			require.Equal(t, n, gotN)
			require.Equal(t, example, gotExample)
		}
		d.Post(note("later", 1))
		check(0, 0, "")
		time.Sleep(time.Second)
		d.Post(note("a", 1))
		d.Post(note("waits", 1))
		d.Post(note("waits", 2))
		time.Sleep(time.Second)
		check(time.Second, 1, "later")
		check(time.Second-1, 3, "later")
		check(2*time.Second, 0, "")
		(<-dones)(nil)
		check(0, 2, "a")
		close(release)
		check(0, 0, "")
	})
}

// 100,000 streams that have become idle must leave nothing behind: no mailbox, no memory of the map, and after a while no
// worker.
func TestKeepsNothingForIdleStreams(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		const workers, streams = 8, 100_000
		d := dispatcherFor(t, Config{Workers: workers, Deliver: func(_ api.Notification, done func(error)) {
			time.Sleep(time.Millisecond)
			done(nil)
		}})
		for i := range streams {
			d.Post(note(fmt.Sprint("s", i), 1))
		}
		require.Len(t, d.mu.boxes, streams)
		crowded := reflect.ValueOf(d.mu.boxes).Pointer()
		require.NoError(t, d.Wait(t.Context()))
		require.Empty(t, d.mu.boxes)
		require.NotEqual(t, crowded, reflect.ValueOf(d.mu.boxes).Pointer(), "a map keeps its memory: it must be replaced")
		require.Nil(t, d.mu.ready.head)
		require.Nil(t, d.mu.runs.head)
		synctest.Wait()
		require.Equal(t, workers, d.pool.Running())
		time.Sleep(2*workerExpiry + time.Second)
		synctest.Wait()
		require.Zero(t, d.pool.Running())

		d.Post(note("a", 1))
		require.NoError(t, d.Wait(t.Context()), "workers come back when wanted")
	})
}
