package lease

import (
	"context"
	"encoding/json"
	"errors"
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

// notary notes the endings that it is to carry out; the test settles them.
type notary struct {
	mu    sync.Mutex
	ended []*Lease
}

func (n *notary) End(l *Lease) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = append(n.ended, l)
}

func (n *notary) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ended)
}

type key struct{}

// held is a lease of 30 s in a session of 10 s.
func held(t *testing.T) (*Lease, *notary) {
	t.Helper()
	clock := NewClock()
	ctx := context.WithValue(t.Context(), key{}, "value")
	s := NewSession(ctx, clock, 0, alice, clock.Now(), 10*time.Second)
	n := &notary{}
	name := "orders:1"
	e := &Entry{ID: "5-1", Stream: name, Key: "{shop-input}:lease:" + name, Info: json.RawMessage(`{"k":"v"}`), Retries: 2, Crashes: 1 << 20}
	return New(s, e, 17, clock.Now(), 30*time.Second, n), n
}

func TestLeaseTellsWhatItIs(t *testing.T) {
	l, _ := held(t)
	require.Equal(t, "orders:1", l.Stream())
	require.Equal(t, api.Token(17), l.Token())
	require.Equal(t, "5-1", l.Entry())
	require.JSONEq(t, `{"k":"v"}`, string(l.Info()))
	require.Equal(t, 2, l.Attempt())
	require.EqualValues(t, 1<<16-1, l.crashes, "more than anybody counts to")
	require.Equal(t, "{shop-input}:lease:orders:1", l.Key())
	require.Equal(t, "17 5-1", l.tag)
	require.Zero(t, l.Partition())
	require.True(t, l.Supersede())
	require.False(t, l.Supersede())
	require.Nil(t, l.Ending())
}

func TestLeaseIsHeldUntilTheEarlierDeadline(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		require.Equal(t, 10*time.Second, l.Remaining(), "the session's")
		require.True(t, l.Session().Extend(l.session.clock.Now(), time.Minute))
		require.Equal(t, 30*time.Second, l.Remaining(), "its own")
		require.True(t, l.Extend(l.session.clock.Now(), 40*time.Second))
		require.Equal(t, 40*time.Second, l.Remaining())
		l.Cap(l.session.clock.Now() + int64(time.Second))
		require.Equal(t, time.Second, l.Remaining())
		time.Sleep(time.Second)
		require.Zero(t, l.Remaining())
		require.False(t, l.Extend(l.session.clock.Now(), time.Hour))
		require.Zero(t, l.Believed())
	})
}

// A pause of the whole process: nothing ran, no timer fired, and the first look is right.
func TestContextErrIsExactAtTheDeadline(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, n := held(t)
		ctx := l.Context()
		require.Same(t, ctx.(*leaseContext), l.Context().(*leaseContext))
		require.Equal(t, "value", ctx.Value(key{}))
		time.Sleep(10*time.Second - 1)
		require.NoError(t, ctx.Err())
		require.Equal(t, time.Duration(1), l.Remaining())
		time.Sleep(time.Nanosecond)
		select {
		case <-ctx.Done():
			t.Fatal("no timer a lease")
		default:
		}
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
		<-ctx.Done()
		require.Zero(t, n.count(), "who loses has nothing to send")
	})
}

func TestContextCauseAloneFindsTheDeadline(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		ctx := l.Context()
		time.Sleep(time.Minute)
		require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
		require.Error(t, ctx.Err())
	})
}

func TestContextOfALeaseThatHasEnded(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*Lease)
		want error
	}{
		"lost":      {func(l *Lease) { l.Lose(api.ErrSessionLost) }, api.ErrSessionLost},
		"closed":    {func(l *Lease) { l.Lose(api.ErrClosed) }, api.ErrClosed},
		"hand back": {func(l *Lease) { l.HandBack() }, api.ErrReleasing},
		"failed":    {func(l *Lease) { l.FailFor(errors.New("x")) }, api.ErrNotHeld},
		"done":      {func(l *Lease) { l.Done(gone()) }, api.ErrNotHeld},
		"released":  {func(l *Lease) { l.Release(gone()) }, api.ErrNotHeld},
	} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				l, _ := held(t)
				if first {
					l.Context()
				}
				c.end(l)
				require.ErrorIs(t, l.Context().Err(), context.Canceled)
				require.ErrorIs(t, context.Cause(l.Context()), c.want)
				require.Zero(t, l.Remaining())
				require.Positive(t, l.Believed(), "it goes on being renewed until the ending is known in Redis")
				<-l.Context().Done()
			})
		}
	}
}

// gone is a context that has ended: the call does not wait.
func gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// The drain lets work finish: what ends the engine's context does not end a lease's.
func TestContextOutlivesTheSessionsContext(t *testing.T) {
	l, _ := held(t)
	ctx := l.Context()
	l.session.cancel(errors.New("run ended"))
	require.NoError(t, ctx.Err())
	require.Equal(t, "value", ctx.Value(key{}))
	l.HandBack()
}

func TestContextsDerivedCostNoGoroutine(t *testing.T) {
	l, _ := held(t)
	before := runtime.NumGoroutine()
	for range 100 {
		ctx, cancel := context.WithTimeout(l.Context(), time.Hour)
		defer cancel()
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		require.NoError(t, ctx.Err())
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	derived, cancel := context.WithTimeout(l.Context(), time.Hour)
	defer cancel()
	l.Lose(api.ErrLeaseLost)
	require.ErrorIs(t, derived.Err(), context.Canceled, "ended with it, in the same call")
	require.ErrorIs(t, context.Cause(derived), api.ErrLeaseLost)
}

// Many ask for the context while it ends: all get one and the same, and it ends.
func TestContextMadeWhileTheLeaseEnds(t *testing.T) {
	for range 300 {
		l, _ := held(t)
		var wg sync.WaitGroup
		var got [4]context.Context
		for i := range got {
			wg.Go(func() { got[i] = l.Context() })
		}
		wg.Go(func() { l.Lose(api.ErrLeaseLost) })
		wg.Wait()
		for _, ctx := range got {
			require.Same(t, got[0].(*leaseContext), ctx.(*leaseContext))
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
		}
	}
}

// Ownership ends on the call, before anything is sent.
func TestRule03OwnershipEndsBeforeTheEndingIsSent(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, n := held(t)
		ctx := l.Context()
		done := make(chan error, 1)
		go func() { done <- l.Done(t.Context()) }()
		synctest.Wait()
		require.Equal(t, 1, n.count())
		require.Zero(t, l.Remaining())
		require.ErrorIs(t, context.Cause(ctx), api.ErrNotHeld)
		require.Equal(t, 10*time.Second, l.Believed())
		require.True(t, l.Extend(l.session.clock.Now(), 40*time.Second), "still renewed inside")
		require.Zero(t, l.Remaining(), "never to come back")
		l.Ending().Settle(nil)
		require.NoError(t, <-done)
	})
}

func TestEndingsAskedAgain(t *testing.T) {
	ends := map[string]func(*Lease, context.Context) error{
		"done":    func(l *Lease, ctx context.Context) error { return l.Done(ctx) },
		"release": func(l *Lease, ctx context.Context) error { return l.Release(ctx) },
		"fail":    func(l *Lease, ctx context.Context) error { return l.Fail(ctx, errors.New("x")) },
	}
	kinds := map[string]EndKind{"done": EndDone, "release": EndReleased, "fail": EndFailed}
	for first, end := range ends {
		for _, outcome := range []error{nil, api.ErrOutcomeUnknown} {
			t.Run(first, func(t *testing.T) {
				l, n := held(t)
				require.ErrorIs(t, end(l, gone()), context.Canceled, "bounds the wait only")
				require.Equal(t, kinds[first], l.Ending().Kind)
				l.Ending().Settle(outcome)
				for again, end := range ends {
					err := end(l, gone())
					if again == first {
						require.Equal(t, outcome, err, "known, so told even to who cannot wait")
					} else {
						require.ErrorIs(t, err, api.ErrNotHeld)
						require.NotErrorIs(t, err, api.ErrLeaseLost)
					}
				}
				require.False(t, l.HandBack())
				require.False(t, l.FailFor(nil))
				require.False(t, l.Lose(api.ErrLeaseLost), "ended before")
				require.Equal(t, 1, n.count(), "carried out once")
			})
		}
	}
}

func TestEndingsAfterLoss(t *testing.T) {
	l, n := held(t)
	require.True(t, l.Lose(api.ErrSessionLost))
	require.True(t, l.Lose(api.ErrLeaseLost), "lost already")
	for _, err := range []error{l.Done(t.Context()), l.Release(t.Context()), l.Fail(t.Context(), nil)} {
		require.ErrorIs(t, err, api.ErrNotHeld)
		require.ErrorIs(t, err, api.ErrLeaseLost)
		require.ErrorIs(t, err, api.ErrSessionLost)
	}
	require.False(t, l.HandBack())
	require.Zero(t, n.count())
	require.Equal(t, EndLost, l.Ending().Kind)
}

func TestEndingsAfterTheDeadlineAreLosses(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, n := held(t)
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, l.Done(t.Context()), api.ErrLeaseLost)
		require.ErrorIs(t, context.Cause(l.Context()), api.ErrLeaseLost)
		require.Zero(t, n.count())
	})
}

func TestEndingsAfterHandBack(t *testing.T) {
	l, n := held(t)
	require.True(t, l.HandBack())
	err := l.Done(t.Context())
	require.ErrorIs(t, err, api.ErrNotHeld)
	require.ErrorIs(t, err, api.ErrReleasing)
	require.Equal(t, 1, n.count())
}

// The natural way to call it in a handler: with the lease's own context, which ends by the call.
func TestDoneWithTheLeasesOwnContext(t *testing.T) {
	for name, derive := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"own":     func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"derived": context.WithCancel,
		"deeper": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, key{}, 1), time.Hour)
			ctx, cancel2 := context.WithCancel(ctx)
			return ctx, func() { cancel2(); cancel() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) {
				l, _ := held(t)
				ctx, cancel := derive(l.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- l.Done(ctx) }()
				synctest.Wait()
				require.Error(t, ctx.Err())
				require.Empty(t, done, "it waits for the answer all the same")
				l.Ending().Settle(nil)
				require.NoError(t, <-done)
			})
		})
	}
}

func TestDoneWithADeadlineInTheLeasesOwnContext(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		ctx, cancel := context.WithTimeout(l.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, l.Done(ctx), context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}

func TestDoneWithTheContextOfAnotherLease(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, _ := held(t)
		other, _ := held(t)
		require.ErrorIs(t, other.Done(gone()), context.Canceled)
		require.ErrorIs(t, l.Done(other.Context()), context.Canceled, "that end is not this call's")
	})
}

func TestDoneBoundedByItsContext(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l, n := held(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, l.Done(ctx), context.DeadlineExceeded)
		require.Equal(t, 1, n.count())
		go func() {
			time.Sleep(time.Second)
			l.Ending().Settle(nil)
		}()
		require.NoError(t, l.Done(t.Context()), "the attempt went on")
	})
}

// Of all that end a lease at once, one does, and all agree which.
func TestOneEndingCounts(t *testing.T) {
	for range 200 {
		l, n := held(t)
		var won atomic.Int32
		var wg sync.WaitGroup
		for _, end := range []func() bool{
			l.HandBack,
			func() bool { return l.FailFor(nil) },
			func() bool { l.Lose(api.ErrLeaseLost); return l.Ending().Kind == EndLost },
			func() bool { l.Done(gone()); return l.Ending().Kind == EndDone },
		} {
			wg.Go(func() {
				if end() {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		if l.Ending().Kind == EndLost {
			require.Zero(t, n.count())
		} else {
			require.Equal(t, 1, n.count())
		}
		require.Error(t, l.Context().Err())
	}
}
