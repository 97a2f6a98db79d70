package lease

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

// other is a key that no context of a session has.
type other struct{}

// Every handler gets the context, and most do not look at it.
func TestContextCostsNothingUntilSomebodyWaitsForItsEnd(t *testing.T) {
	l, _ := held(t)
	var ctx context.Context
	require.Zero(t, testing.AllocsPerRun(100, func() {
		ctx = l.Context()
		if ctx.Err() != nil || context.Cause(ctx) != nil {
			panic("it is held")
		}
		if _, ok := ctx.Deadline(); ok {
			panic("it is renewed")
		}
	}))
	require.Equal(t, "value", ctx.Value(key{}))
	require.Nil(t, ctx.Value("absent"))
	require.Nil(t, l.ctx.Load(), "nothing was made")
	child := context.WithValue(ctx, other{}, "v")
	require.NoError(t, child.Err())
	require.Nil(t, l.ctx.Load(), "nor by adding a value")
	require.NotNil(t, ctx.Done())
	require.NotNil(t, l.ctx.Load())
	require.Equal(t, "value", ctx.Value(key{}))
	require.Equal(t, "context of the lease of orders:1", fmt.Sprint(ctx))
}

// Contexts of leases that nobody looked at end in all the ways in which one can ask.
func TestContextEndsForWhoeverAsksFirst(t *testing.T) {
	for name, asked := range map[string]func(ctx context.Context) error{
		"err":   func(ctx context.Context) error { return ctx.Err() },
		"cause": context.Cause,
		"done":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"value": func(ctx context.Context) error { ctx.Value("absent"); return ctx.Err() },
		"derive": func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return ctx.Err()
		},
		"deeper": func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, other{}, "v"), time.Hour)
			defer cancel()
			return context.Cause(ctx)
		},
		"after func": func(ctx context.Context) error {
			ran := make(chan struct{})
			context.AfterFunc(ctx, func() { close(ran) })
			<-ran
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := held(t)
			ctx := l.Context()
			l.Lose(api.ErrSessionLost)
			require.Nil(t, l.ctx.Load())
			require.Error(t, asked(ctx))
			require.ErrorIs(t, context.Cause(ctx), api.ErrSessionLost)
		})
	}
}

// A derived context ends in the call that ends the lease, whichever of the two was there first, and costs no goroutine.
func TestContextsDerivedBeforeAndAfterTheChannelIsMade(t *testing.T) {
	for _, before := range []bool{true, false} {
		l, _ := held(t)
		if before {
			l.Context().Done()
		}
		goroutines := runtime.NumGoroutine()
		ctx, cancel := context.WithTimeout(context.WithValue(l.Context(), other{}, "v"), time.Hour)
		defer cancel()
		var ran atomic.Int32
		stop := context.AfterFunc(ctx, func() { ran.Add(1) })
		defer stop()
		require.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
		require.NoError(t, ctx.Err())
		l.HandBackFor(fmt.Errorf("%w: %w", api.ErrDrainTimeout, api.ErrReleasing))
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(ctx), api.ErrDrainTimeout)
		require.ErrorIs(t, context.Cause(ctx), api.ErrReleasing)
		require.Eventually(t, func() bool { return ran.Load() == 1 }, 10*time.Second, time.Millisecond)
	}
}

// A pause of the process: what is derived from a context whose deadline has passed, which nobody has noticed yet, has ended.
func TestContextDerivedAfterAPauseHasEnded(t *testing.T) {
	for _, made := range []bool{true, false} {
		virtual.Test(t, func(t *testing.T) {
			l, _ := held(t)
			if made {
				l.Context().Done()
			}
			time.Sleep(time.Minute)
			ctx, cancel := context.WithTimeout(l.Context(), time.Hour)
			defer cancel()
			require.ErrorIs(t, ctx.Err(), context.Canceled)
			require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
		})
	}
}

func TestSupersededIsClosedOnceForAll(t *testing.T) {
	l, _ := held(t)
	ch := l.Superseded()
	require.Equal(t, ch, l.Superseded())
	select {
	case <-ch:
		t.Fatal("nobody has announced it again")
	default:
	}
	require.True(t, l.Supersede())
	<-ch
	<-l.Superseded()
	require.False(t, l.Supersede())

	l, _ = held(t)
	require.Nil(t, l.superseded.Load(), "nothing is made for those who do not ask")
	require.True(t, l.Supersede())
	require.False(t, l.Supersede())
	<-l.Superseded()
	require.Positive(t, l.Remaining(), "it is held")

	l, _ = held(t)
	l.Lose(api.ErrLeaseLost)
	select {
	case <-l.Superseded():
		t.Fatal("the end of the lease is another matter")
	default:
	}
}

func TestSupersededAskedForWhileItHappens(t *testing.T) {
	for range 300 {
		l, _ := held(t)
		var wg sync.WaitGroup
		var firsts atomic.Int32
		for range 3 {
			wg.Go(func() { <-l.Superseded() })
			wg.Go(func() {
				if l.Supersede() {
					firsts.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, firsts.Load())
	}
}
