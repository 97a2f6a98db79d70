package engine

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

// courierWitness checks what a courier does to its streams while it does it.
type courierWitness struct {
	streams  []courierWitnessed
	running  atomic.Int32
	most     atomic.Int32
	finished atomic.Int64
	idles    atomic.Int64
	fault    atomic.Pointer[string]
}

type courierWitnessed struct {
	inside atomic.Bool  // between Deliver and Finished
	last   atomic.Int64 // token delivered last
}

func (w *courierWitness) failf(format string, args ...any) {
	fault := fmt.Sprintf(format, args...)
	w.fault.CompareAndSwap(nil, &fault)
}

func (w *courierWitness) stream(name string) *courierWitnessed {
	var i int
	if _, err := fmt.Sscanf(name, "s%d", &i); err != nil {
		panic(err)
	}
	return &w.streams[i]
}

func (w *courierWitness) enter(n api.Notification) {
	s := w.stream(n.Stream)
	if !s.inside.CompareAndSwap(false, true) {
		w.failf("%s: two notifications at a time", n.Stream)
	}
	if last := s.last.Swap(int64(n.Token)); last+1 != int64(n.Token) {
		w.failf("%s: %d was delivered after %d", n.Stream, n.Token, last)
	}
}

func (w *courierWitness) exit(n api.Notification) {
	if !w.stream(n.Stream).inside.CompareAndSwap(true, false) {
		w.failf("%s: finished %d twice", n.Stream, n.Token)
	}
	w.finished.Add(1)
}

func (w *courierWitness) working(delta int32) {
	now := w.running.Add(delta)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
}

// courierBehaviour is one way for a handler to end.
type courierBehaviour uint8

const (
	courierSync courierBehaviour = iota
	courierAsync
	courierTwice
	courierPanics
	courierExits
	courierYields
	courierBehaviours
)

// deliver ends n in the given way. Asynchronous ends run in ends.
func (w *courierWitness) deliver(n api.Notification, how courierBehaviour, ends *sync.WaitGroup, done func(error)) {
	w.working(1)
	defer w.working(-1)
	w.enter(n)
	switch how {
	case courierAsync:
		ends.Go(func() { done(nil) })
	case courierTwice:
		ends.Go(func() { done(nil) })
		done(nil)
	case courierPanics:
		panic("on purpose")
	case courierExits:
		runtime.Goexit()
	case courierYields:
		runtime.Gosched()
		done(nil)
	default:
		done(nil)
	}
}

func (w *courierWitness) check(t require.TestingT, workers, accepted int, c *courier) {
	if fault := w.fault.Load(); fault != nil {
		require.Fail(t, *fault)
	}
	require.EqualValues(t, accepted, w.finished.Load())
	require.LessOrEqual(t, int(w.most.Load()), workers)
	require.Zero(t, c.queued())
	require.Zero(t, c.running())
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Empty(t, c.boxes)
}

func TestCourierKeepsTheOrderOfAStreamUnderRandomLoad(t *testing.T) {
	courierLeakCheck(t)
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.IntRange(1, 5).Draw(t, "workers")
		streams := rapid.IntRange(1, 8).Draw(t, "streams")
		posters := rapid.IntRange(1, 4).Draw(t, "posters")
		ways := rapid.SliceOfN(rapid.Uint8Range(0, uint8(courierBehaviours)-1), 1, 50).Draw(t, "ways to end")
		loads := rapid.SliceOfN(rapid.IntRange(0, streams-1), 0, 300).Draw(t, "streams posted to")

		w := &courierWitness{streams: make([]courierWitnessed, streams)}
		var ends sync.WaitGroup
		c, err := newCourier(courierConfig{
			Workers: workers,
			Deliver: func(n api.Notification, done func(error)) {
				w.deliver(n, courierBehaviour(ways[int(n.Token)%len(ways)]), &ends, done)
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
						c.post(courierNote(fmt.Sprint("s", i), tokens[i]))
					}
				}
			})
		}
		posting.Wait()
		require.NoError(t, c.wait(context.Background()))
		ends.Wait()
		require.NoError(t, c.stop(context.Background()))
		w.check(t, workers, len(loads), c)
		used := map[int]bool{}
		for _, i := range loads {
			used[i] = true
		}
		require.GreaterOrEqual(t, int(w.idles.Load()), len(used))
	})
}

func TestCourierServesThousandsOfStreams(t *testing.T) {
	courierLeakCheck(t)
	const workers, streams, posters, rounds = 16, 5_000, 4, 6
	before := runtime.NumGoroutine()
	w := &courierWitness{streams: make([]courierWitnessed, streams)}
	var ends sync.WaitGroup
	var mostGoroutines atomic.Int64
	c := courierFor(t, courierConfig{
		Workers: workers,
		Deliver: func(n api.Notification, done func(error)) {
			if n.Token == 1 { // before anything here has started goroutines of its own
				mostGoroutines.Store(max(mostGoroutines.Load(), int64(runtime.NumGoroutine())))
			}
			how := courierSync
			if n.Token > 2 {
				how = courierBehaviour(rand.N(uint8(courierBehaviours)))
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
					c.post(courierNote(fmt.Sprint("s", i), round))
				}
			})
		}
		posting.Wait()
		if round == 2 {
			require.NoError(t, c.wait(t.Context()))
			// The workers and one about to start, the pool's two housekeepers, the posters; and some to spare
			// for what the runtime and the tests before this one have running.
			require.LessOrEqual(t, int(mostGoroutines.Load()), before+workers+1+2+posters+10)
		}
	}
	require.NoError(t, c.wait(t.Context()))
	ends.Wait()
	w.check(t, workers, rounds*streams, c)
	require.GreaterOrEqual(t, int(w.idles.Load()), streams)
}

func TestBacklogIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q backlog
		var model []api.Token
		var token api.Token
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				require.Equal(t, len(model), q.len())
				// What was popped must not be kept alive.
				for _, n := range q.rest[:q.head] {
					require.Zero(t, n)
				}
				for _, n := range q.rest[len(q.rest):cap(q.rest)] {
					require.Zero(t, n)
				}
			},
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					token++
					q.push(api.Notification{Token: token})
					model = append(model, token)
				}
			},
			"pop": func(t *rapid.T) {
				for range min(rapid.IntRange(1, 6).Draw(t, "n"), len(model)) {
					require.Equal(t, model[0], q.pop().Token)
					model = model[1:]
				}
			},
			"reset": func(t *rapid.T) {
				q.reset()
				model = nil
				require.LessOrEqual(t, cap(q.rest), keepBacklog)
			},
		})
	})
}
