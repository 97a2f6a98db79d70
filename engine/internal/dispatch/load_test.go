package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
)

// witness checks what a dispatcher does to its streams while it does it.
type witness struct {
	streams  []witnessed
	running  atomic.Int32
	most     atomic.Int32
	finished atomic.Int64
	idles    atomic.Int64
	fault    atomic.Pointer[string]
}

type witnessed struct {
	inside atomic.Bool  // between Deliver and Finished
	last   atomic.Int64 // token delivered last
}

func (w *witness) failf(format string, args ...any) {
	fault := fmt.Sprintf(format, args...)
	w.fault.CompareAndSwap(nil, &fault)
}

func (w *witness) stream(name string) *witnessed {
	var i int
	if _, err := fmt.Sscanf(name, "s%d", &i); err != nil {
		panic(err)
	}
	return &w.streams[i]
}

func (w *witness) enter(n api.Notification) {
	s := w.stream(n.Stream)
	if !s.inside.CompareAndSwap(false, true) {
		w.failf("%s: two notifications at a time", n.Stream)
	}
	if last := s.last.Swap(int64(n.Token)); last+1 != int64(n.Token) {
		w.failf("%s: %d was delivered after %d", n.Stream, n.Token, last)
	}
}

func (w *witness) exit(n api.Notification) {
	if !w.stream(n.Stream).inside.CompareAndSwap(true, false) {
		w.failf("%s: finished %d twice", n.Stream, n.Token)
	}
	w.finished.Add(1)
}

func (w *witness) working(delta int32) {
	now := w.running.Add(delta)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
}

// ending is one way for a handler to end.
type ending uint8

const (
	endSync ending = iota
	endAsync
	endTwice
	endPanics
	endExits
	endYields
	endings
)

// deliver ends n in the given way. Asynchronous ends run in ends.
func (w *witness) deliver(n api.Notification, how ending, ends *sync.WaitGroup, done func(error)) {
	w.working(1)
	defer w.working(-1)
	w.enter(n)
	switch how {
	case endAsync:
		ends.Go(func() { done(nil) })
	case endTwice:
		ends.Go(func() { done(nil) })
		done(nil)
	case endPanics:
		panic("on purpose")
	case endExits:
		runtime.Goexit()
	case endYields:
		runtime.Gosched()
		done(nil)
	default:
		done(nil)
	}
}

func (w *witness) check(t require.TestingT, workers, accepted int, d *Dispatcher) {
	if fault := w.fault.Load(); fault != nil {
		require.Fail(t, *fault)
	}
	require.EqualValues(t, accepted, w.finished.Load())
	require.LessOrEqual(t, int(w.most.Load()), workers)
	require.Zero(t, d.Queued())
	require.Zero(t, d.Running())
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Empty(t, d.mu.boxes)
}

func TestKeepsTheOrderOfAStreamUnderRandomLoad(t *testing.T) {
	leakCheck(t)
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 5).Draw(t, "workers")
		streams := rapid.IntRange(1, 8).Draw(t, "streams")
		posters := rapid.IntRange(1, 4).Draw(t, "posters")
		ways := rapid.SliceOfN(rapid.Uint8Range(0, uint8(endings)-1), 1, 50).Draw(t, "ways to end")
		loads := rapid.SliceOfN(rapid.IntRange(0, streams-1), 0, 300).Draw(t, "streams posted to")

		w := &witness{streams: make([]witnessed, streams)}
		var ends sync.WaitGroup
		d, err := New(Config{
			Workers: workers,
			Deliver: func(n api.Notification, done func(error)) {
				w.deliver(n, ending(ways[int(n.Token)%len(ways)]), &ends, done)
			},
			Finished: func(n api.Notification, _ error, _ time.Duration) { w.exit(n) },
			Idle:     func(string) { w.idles.Add(1) },
		})
		require.NoError(t, err)

		// A stream belongs to one poster, so that the order of its posts is known.
		var posting sync.WaitGroup
		for p := range posters {
			posting.Go(func() {
				tokens := make([]int, streams)
				for _, i := range loads {
					if i%posters == p {
						tokens[i]++
						d.Post(note(fmt.Sprint("s", i), tokens[i]))
					}
				}
			})
		}
		posting.Wait()
		require.NoError(t, d.Wait(context.Background()))
		ends.Wait()
		require.NoError(t, d.Stop(context.Background()))
		w.check(t, workers, len(loads), d)
		used := map[int]bool{}
		for _, i := range loads {
			used[i] = true
		}
		require.GreaterOrEqual(t, int(w.idles.Load()), len(used))
	})
}

func TestServesThousandsOfStreams(t *testing.T) {
	leakCheck(t)
	const workers, streams, posters, rounds = 16, 5_000, 4, 6
	before := runtime.NumGoroutine()
	w := &witness{streams: make([]witnessed, streams)}
	var ends sync.WaitGroup
	var mostGoroutines atomic.Int64
	d := dispatcherFor(t, Config{
		Workers: workers,
		Deliver: func(n api.Notification, done func(error)) {
			if n.Token == 1 { // before anything here has started goroutines of its own
				mostGoroutines.Store(max(mostGoroutines.Load(), int64(runtime.NumGoroutine())))
			}
			how := endSync
			if n.Token > 2 {
				how = ending(rand.N(uint8(endings)))
			}
			w.deliver(n, how, &ends, done)
		},
		Finished: func(n api.Notification, err error, _ time.Duration) {
			if panicked := (*api.PanicError)(nil); err != nil && !errors.As(err, &panicked) {
				w.failf("unexpected error %v", err)
			}
			w.exit(n)
		},
		Idle: func(string) { w.idles.Add(1) },
	})
	for round := 1; round <= rounds; round++ {
		var posting sync.WaitGroup
		for p := range posters {
			posting.Go(func() {
				for i := p; i < streams; i += posters {
					d.Post(note(fmt.Sprint("s", i), round))
				}
			})
		}
		posting.Wait()
		if round == 2 {
			require.NoError(t, d.Wait(t.Context()))
			// The workers and one about to start, the pool's two housekeepers, the posters; and some to spare
			// for what the runtime and the tests before this one have running.
			require.LessOrEqual(t, int(mostGoroutines.Load()), before+workers+1+2+posters+10)
		}
	}
	require.NoError(t, d.Wait(t.Context()))
	ends.Wait()
	w.check(t, workers, rounds*streams, d)
	require.GreaterOrEqual(t, int(w.idles.Load()), streams)
}
