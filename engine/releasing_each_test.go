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
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// What a function of RunEach returns after its context ended because the stream is to be handed back.
func TestRunEachResultsAfterReleasing(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       func(ctx context.Context, l api.Lease) error
		counts  []int
		retried int
		cause   error // of the lease's context; nil: the reason for handing back
	}{
		{name: "nil is handed back", counts: []int{1, 0, 0, 0}, f: func(context.Context, api.Lease) error { return nil }},
		{name: "the error of the context", counts: []int{1, 0, 0, 0}, f: func(ctx context.Context, _ api.Lease) error { return ctx.Err() }},
		{name: "its cause, wrapped", counts: []int{1, 0, 0, 0}, f: func(ctx context.Context, _ api.Lease) error {
			return fmt.Errorf("stopped: %w", context.Cause(ctx))
		}},
		{name: "Done, then nil", counts: []int{0, 0, 0, 0}, cause: api.ErrNotHeld, f: func(ctx context.Context, l api.Lease) error {
			if err := l.Done(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Done waited with a context that has ended: %v", err)
			}
			return nil
		}},
		{name: "Done with the lease's context, then nil", counts: []int{0, 0, 0, 0}, cause: api.ErrNotHeld, f: func(_ context.Context, l api.Lease) error {
			if err := l.Done(l.Context()); err != nil {
				t.Error(err)
			}
			return nil
		}},
		{name: "what Done returns", counts: []int{0, 0, 0, 0}, cause: api.ErrNotHeld, f: func(ctx context.Context, l api.Lease) error { return l.Done(ctx) }},
		{name: "Release, then nil", counts: []int{1, 0, 0, 0}, cause: api.ErrNotHeld, f: func(ctx context.Context, l api.Lease) error {
			_ = l.Release(ctx)
			return nil
		}},
		{name: "an error", counts: []int{0, 0, 1, 0}, retried: 1, cause: api.ErrNotHeld, f: func(context.Context, api.Lease) error { return errItBroke }},
		{name: "Permanent", counts: []int{0, 0, 0, 1}, retried: 1, cause: api.ErrNotHeld, f: func(context.Context, api.Lease) error { return api.Permanent(errItBroke) }},
		{name: "Snooze", counts: []int{0, 0, 1, 0}, cause: api.ErrNotHeld, f: func(context.Context, api.Lease) error { return api.Snooze(time.Hour) }},
		{name: "a panic", counts: []int{0, 0, 1, 0}, retried: 1, cause: api.ErrNotHeld, f: func(context.Context, api.Lease) error { panic("it fell over") }},
		{name: "a panic with the error of the context", counts: []int{1, 0, 0, 0}, f: func(ctx context.Context, _ api.Lease) error { panic(ctx.Err()) }},
		{name: "Goexit", counts: []int{0, 0, 1, 0}, retried: 1, cause: api.ErrNotHeld, f: func(context.Context, api.Lease) error { runtime.Goexit(); return nil }},
	} {
		for _, r := range releasings {
			t.Run(fmt.Sprint(c.name, "/", r.why), func(t *testing.T) {
				bubble(t, 1, func(t *testing.T, h *harness) {
					h.server.announce("s")
					e := h.runEach(func(ctx context.Context, l api.Lease) error {
						<-ctx.Done()
						if why := context.Cause(ctx); why != r.why || l.Remaining() == 0 || l.Context().Err() != nil {
							t.Errorf("ended for %v with %v left", why, l.Remaining())
						}
						return c.f(ctx, l)
					})
					advance(time.Second)
					l := e.held("s")
					r.by(t, e)
					require.Equal(t, c.counts, h.server.counts())
					require.Equal(t, c.retried, h.server.retried())
					want := c.cause
					if want == nil {
						want = r.why
					}
					require.ErrorIs(t, context.Cause(l.Context()), want)
				})
			})
		}
	}
}

// A function that has returned nil before its stream is to be handed back has finished, also while Redis does not know it yet.
func TestRunEachNilBeforeReleasingIsDone(t *testing.T) {
	for _, r := range releasings {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			finish := make(chan struct{})
			e := h.runEach(func(context.Context, api.Lease) error { <-finish; return nil })
			advance(time.Second)
			l := e.held("s")
			e.fake.failOnly(fakeFault{before: 500 * time.Millisecond}, "done")
			close(finish)
			synctest.Wait()
			require.Equal(t, []int{0, 1, 0, 0}, h.server.counts(), "Done is on its way")
			r.by(t, e)
			require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
			require.ErrorIs(t, context.Cause(l.Context()), api.ErrNotHeld)
		})
	}
}

// A function that has not looked at its context when it returns nil is handed back all the same: nobody can know what it would have
// done. Its context had ended before it returned, and that alone decides.
func TestRunEachNilWithoutHavingSeenReleasingIsHandedBack(t *testing.T) {
	for _, r := range releasings {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			e := h.runEach(func(context.Context, api.Lease) error { time.Sleep(1500 * time.Millisecond); return nil })
			advance(time.Second)
			l := e.held("s")
			r.by(t, e)
			require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
			require.Zero(t, h.server.retried())
			require.ErrorIs(t, context.Cause(l.Context()), r.why)
		})
	}
}

// Functions return nil just before, just after, and in the very moment in which their streams are to be handed back. The first are
// done, the second handed back, and the third either, as the context of the lease says. None counts a retry.
func TestRunEachNilInTheMomentOfReleasing(t *testing.T) {
	for _, r := range releasings {
		bubble(t, 1, func(t *testing.T, h *harness) {
			const n = 400
			h.server.announce(streams(n)...)
			var mu sync.Mutex
			leases := map[api.Lease]time.Duration{} // and when they return, from the moment on
			start, draw := time.Now(), rand.New(rand.NewPCG(1, 2))
			e := h.runEach(func(_ context.Context, l api.Lease) error {
				mu.Lock()
				at := time.Duration(draw.IntN(3) - 1)
				leases[l] = at
				mu.Unlock()
				time.Sleep(time.Until(start.Add(5*time.Second + at)))
				return nil
			})
			advance(time.Second)
			require.Equal(t, n, e.Stats().Held)
			time.Sleep(time.Until(start.Add(5 * time.Second)))
			r.by(t, e)
			handedBack := 0
			for l, at := range leases {
				cause := context.Cause(l.Context())
				if errors.Is(cause, r.why) {
					handedBack++
					require.GreaterOrEqual(t, at, time.Duration(0))
				} else {
					require.ErrorIs(t, cause, api.ErrNotHeld)
					require.LessOrEqual(t, at, time.Duration(0))
				}
			}
			require.Len(t, leases, n)
			require.Equal(t, []int{handedBack, 0, 0, 0}, h.server.counts())
			require.Zero(t, h.server.retried())
		})
	}
}

// A stream that was announced again is to be handed back at the same moment. A function that makes way by Done has made way; one that
// returns nil has both announcements handed out again, and one is left when the next owner has made way.
func TestRunEachSupersededAndReleasingTogether(t *testing.T) {
	for _, done := range []bool{true, false} {
		for _, r := range releasings {
			t.Run(fmt.Sprint(done, "/", r.why), func(t *testing.T) {
				bubble(t, 1, func(t *testing.T, h *harness) {
					h.server.add(0, withInfo(`{"version":1}`))
					e := h.runEach(func(ctx context.Context, l api.Lease) error {
						<-ctx.Done() // a select would choose one of the two at random
						<-l.Superseded()
						if done {
							return l.Done(ctx)
						}
						return nil
					})
					advance(time.Second)
					h.server.add(0, withInfo(`{"version":2}`))
					advance(time.Second)
					require.Equal(t, 1, e.Stats().Parked)
					r.by(t, e)
					advance(time.Second)
					undelivered, pending, later, dead := h.server.count()
					want := 2
					if done {
						want = 1
					}
					require.Equal(t, []int{want, 0}, []int{undelivered + pending + later, dead})
					require.Zero(t, h.server.retried())
					if r.why != api.ErrDraining {
						e.halt()
					}

					var info atomic.Value
					next := h.runEach(func(ctx context.Context, l api.Lease) error {
						info.Store(string(l.Info()))
						select {
						case <-l.Superseded():
							return l.Done(ctx)
						case <-ctx.Done():
							return ctx.Err()
						}
					})
					advance(time.Minute)
					next.held("s")
					require.Equal(t, []int{0, 1, 0, 0}, h.server.counts())
					if done {
						require.Equal(t, `{"version":2}`, info.Load())
					}
				})
			})
		}
	}
}
