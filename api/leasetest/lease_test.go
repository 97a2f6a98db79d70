package leasetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/test/virtual"
)

func TestDefaults(t *testing.T) {
	l := leasetest.New("orders")
	require.Equal(t, "orders", l.Stream())
	require.Equal(t, api.Token(1), l.Token())
	require.Equal(t, "1-0", l.Entry())
	require.Equal(t, json.RawMessage("{}"), l.Info())
	require.Zero(t, l.Attempt())
	require.Equal(t, leasetest.DefaultTTL, l.Remaining())
	require.NoError(t, l.Context().Err())
	require.Equal(t, leasetest.Outcome{}, l.Outcome())
	_, bounded := l.Context().Deadline()
	require.False(t, bounded)
}

func TestOptions(t *testing.T) {
	l := leasetest.New("orders",
		leasetest.WithInfo(map[string]int{"shard": 3}),
		leasetest.WithToken(77),
		leasetest.WithEntry("1700000000000-4"),
		leasetest.WithAttempt(2))
	require.JSONEq(t, `{"shard":3}`, string(l.Info()))
	require.Equal(t, api.Token(77), l.Token())
	require.Equal(t, "1700000000000-4", l.Entry())
	require.Equal(t, 2, l.Attempt())
}

func TestInfoOfNilIsAbsentAndOfNonsensePanics(t *testing.T) {
	require.Equal(t, json.RawMessage("{}"), leasetest.New("orders", leasetest.WithInfo(nil)).Info())
	require.Panics(t, func() { leasetest.WithInfo(func() {}) })
}

func TestContextHasTheValuesOfItsParentAndNotItsEnd(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	l := leasetest.New("orders", leasetest.WithContext(parent))
	cancel()
	require.NoError(t, l.Context().Err())
	require.Equal(t, "value", l.Context().Value(key{}))
}

// endings are all the ways to end a lease, with what can be observed afterwards.
var errWork = errors.New("work failed")

var endings = []struct {
	name  string
	end   func(*leasetest.Lease)
	state leasetest.State
	cause error // in Outcome
	ctx   error // of the context
}{
	{"done", func(l *leasetest.Lease) { l.Done(context.Background()) }, leasetest.Done, nil, api.ErrNotHeld},
	{"released", func(l *leasetest.Lease) { l.Release(context.Background()) }, leasetest.Released, nil, api.ErrNotHeld},
	{"failed", func(l *leasetest.Lease) { l.Fail(context.Background(), errWork) }, leasetest.Failed, errWork, api.ErrNotHeld},
	{"handed back", (*leasetest.Lease).HandBack, leasetest.HandedBack, api.ErrDraining, api.ErrDraining},
	{"rebalanced", func(l *leasetest.Lease) { l.HandBackFor(api.ErrRebalanced) }, leasetest.HandedBack, api.ErrRebalanced, api.ErrRebalanced},
	{"expired", (*leasetest.Lease).Expire, leasetest.Lost, api.ErrLeaseLost, api.ErrLeaseLost},
	{"lost", func(l *leasetest.Lease) { l.Lose(nil) }, leasetest.Lost, api.ErrLeaseLost, api.ErrLeaseLost},
	{"session lost", func(l *leasetest.Lease) { l.Lose(api.ErrSessionLost) }, leasetest.Lost, api.ErrSessionLost, api.ErrSessionLost},
	{"engine closed", func(l *leasetest.Lease) { l.Lose(api.ErrClosed) }, leasetest.Lost, api.ErrClosed, api.ErrClosed},
}

func TestEnding(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			l := leasetest.New("orders")
			e.end(l)
			require.Equal(t, leasetest.Outcome{State: e.state, Cause: e.cause}, l.Outcome())
			require.Zero(t, l.Remaining())
			requireEnded(t, l.Context(), e.ctx)
		})
	}
}

func requireEnded(t *testing.T, ctx context.Context, cause error) {
	t.Helper()
	require.Equal(t, context.Canceled, ctx.Err())
	require.ErrorIs(t, context.Cause(ctx), cause)
	select {
	case <-ctx.Done():
	default:
		t.Fatal("Err says that the context ended, Done does not")
	}
}

// A second ending changes nothing: the same call succeeds again, and any other
// call returns that the lease is not held, and what ended it.
func TestSecondEnding(t *testing.T) {
	calls := map[leasetest.State]func(*leasetest.Lease) error{
		leasetest.Done:     func(l *leasetest.Lease) error { return l.Done(t.Context()) },
		leasetest.Released: func(l *leasetest.Lease) error { return l.Release(t.Context()) },
		leasetest.Failed:   func(l *leasetest.Lease) error { return l.Fail(t.Context(), io.EOF) },
	}
	for _, first := range endings {
		t.Run(first.name, func(t *testing.T) {
			l := leasetest.New("orders")
			first.end(l)
			want := l.Outcome()
			for state, call := range calls {
				err := call(l)
				if state == first.state {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, api.ErrNotHeld)
				require.ErrorIs(t, err, first.ctx)
			}
			for _, second := range endings {
				second.end(l)
			}
			require.Equal(t, want, l.Outcome())
			requireEnded(t, l.Context(), first.ctx)
		})
	}
}

func TestDoneAfterLossSaysLostAndAfterReleaseDoesNot(t *testing.T) {
	lost := leasetest.New("orders")
	lost.Lose(io.EOF)
	err := lost.Done(t.Context())
	require.ErrorIs(t, err, api.ErrLeaseLost)
	require.ErrorIs(t, err, io.EOF)

	released := leasetest.New("orders")
	require.NoError(t, released.Release(t.Context()))
	err = released.Done(t.Context())
	require.ErrorIs(t, err, api.ErrNotHeld)
	require.NotErrorIs(t, err, api.ErrLeaseLost)
}

// The end of the context by the call itself is not an error.
func TestEndingWithTheLeasesOwnContext(t *testing.T) {
	l := leasetest.New("orders")
	require.NoError(t, l.Done(l.Context()))
	require.NoError(t, l.Done(l.Context()))

	l = leasetest.New("orders")
	derived, cancel := context.WithTimeout(l.Context(), time.Hour)
	defer cancel()
	require.NoError(t, l.Release(derived))
	require.Error(t, derived.Err())
}

// The context bounds only the wait for the answer: the lease ends regardless.
func TestEndingWithAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := leasetest.New("orders")
	require.ErrorIs(t, l.Done(ctx), context.Canceled)
	require.Equal(t, leasetest.Done, l.Outcome().State)
	require.NoError(t, l.Done(t.Context()))
}

func TestTTLRunsOut(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l := leasetest.New("orders", leasetest.WithTTL(10*time.Second))
		require.Equal(t, 10*time.Second, l.Remaining())
		time.Sleep(4 * time.Second)
		require.Equal(t, 6*time.Second, l.Remaining())

		l.Renew()
		require.Equal(t, 10*time.Second, l.Remaining())
		time.Sleep(10*time.Second - time.Nanosecond)
		require.Equal(t, time.Nanosecond, l.Remaining())
		require.NoError(t, l.Context().Err())

		<-l.Context().Done() // with no other call
		require.Equal(t, leasetest.Outcome{State: leasetest.Lost, Cause: api.ErrLeaseLost}, l.Outcome())
		l.Renew()
		require.Zero(t, l.Remaining())
		require.ErrorIs(t, l.Done(t.Context()), api.ErrLeaseLost)
	})
}

// At the very instant of the deadline the timer may or may not have run yet;
// the bubble decides at random. Every way to look at the lease must agree.
func TestEveryLookIsExact(t *testing.T) {
	looks := map[string]func(*leasetest.Lease) bool{
		"Remaining": func(l *leasetest.Lease) bool { return l.Remaining() == 0 },
		"Err":       func(l *leasetest.Lease) bool { return l.Context().Err() != nil },
		"Cause":     func(l *leasetest.Lease) bool { return context.Cause(l.Context()) == api.ErrLeaseLost },
		"Outcome":   func(l *leasetest.Lease) bool { return l.Outcome().State == leasetest.Lost },
		"Done":      func(l *leasetest.Lease) bool { return errors.Is(l.Done(context.Background()), api.ErrLeaseLost) },
		"Renew":     func(l *leasetest.Lease) bool { l.Renew(); return l.Remaining() == 0 },
		"derived": func(l *leasetest.Lease) bool {
			ctx, cancel := context.WithCancel(l.Context())
			defer cancel()
			return ctx.Err() != nil
		},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) {
				for range 100 {
					due := time.NewTimer(time.Second)
					l := leasetest.New("orders", leasetest.WithTTL(time.Second))
					<-due.C
					require.True(t, look(l))
				}
			})
		})
	}
}

func TestTTLOfNothingIsLostFromTheStart(t *testing.T) {
	for _, ttl := range []time.Duration{0, -time.Second} {
		l := leasetest.New("orders", leasetest.WithTTL(ttl))
		require.Equal(t, leasetest.Lost, l.Outcome().State)
		require.Zero(t, l.Remaining())
	}
}

func TestRenewWithoutTTLChangesNothing(t *testing.T) {
	l := leasetest.New("orders")
	l.Renew()
	require.Equal(t, leasetest.DefaultTTL, l.Remaining())
}

// The TTL means nothing once the lease has ended.
func TestTTLRunsOutAfterTheEnd(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		l := leasetest.New("orders", leasetest.WithTTL(time.Second))
		require.NoError(t, l.Done(t.Context()))
		time.Sleep(time.Minute)
		require.Equal(t, leasetest.Done, l.Outcome().State)
		requireEnded(t, l.Context(), api.ErrNotHeld)
	})
}

func TestDerivedContextEndsWithTheLeaseAndCostsNoGoroutine(t *testing.T) {
	l := leasetest.New("orders")
	before := runtime.NumGoroutine()
	ctxs := make([]context.Context, 100)
	for i := range ctxs {
		ctx, cancel := context.WithTimeout(l.Context(), time.Hour)
		defer cancel()
		ctxs[i] = ctx
	}
	require.Less(t, runtime.NumGoroutine()-before, len(ctxs)/2)
	l.Lose(nil)
	for _, ctx := range ctxs {
		requireEnded(t, ctx, api.ErrLeaseLost)
	}
}

// One call wins; the others agree on which.
func TestConcurrentEndings(t *testing.T) {
	for range 50 {
		l := leasetest.New("orders", leasetest.WithTTL(time.Hour))
		errs := make([]error, 3)
		var wg sync.WaitGroup
		wg.Go(func() { errs[0] = l.Done(l.Context()) })
		wg.Go(func() { errs[1] = l.Release(l.Context()) })
		wg.Go(func() { errs[2] = l.Fail(l.Context(), nil) })
		wg.Go(func() { l.Lose(nil) })
		wg.Go(func() { l.Remaining(); l.Renew(); l.Outcome() })
		wg.Wait()

		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				require.Equal(t, leasetest.State(i+1), l.Outcome().State)
			}
		}
		if l.Outcome().State == leasetest.Lost {
			won++
		}
		require.Equal(t, 1, won, "%v, %v", errs, l.Outcome())
	}
}

func TestStateString(t *testing.T) {
	names := []string{"Held", "Done", "Released", "Failed", "HandedBack", "Lost"}
	for i, name := range names {
		require.Equal(t, name, leasetest.State(i).String())
	}
	require.Equal(t, "State("+strconv.Itoa(len(names))+")", leasetest.State(len(names)).String())
}

// A cause that says nothing of handing back is joined with ErrReleasing, which all hand-backs match.
func TestHandBackForMatchesErrReleasing(t *testing.T) {
	l := leasetest.New("orders")
	l.HandBackFor(io.EOF)
	require.ErrorIs(t, context.Cause(l.Context()), api.ErrReleasing)
	require.ErrorIs(t, l.Outcome().Cause, io.EOF)
}
