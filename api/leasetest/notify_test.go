package leasetest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
)

// keep records its notifications, and returns err.
type keep struct {
	got []api.Notification
	err error
}

func (k *keep) Handle(_ context.Context, n api.Notification) error {
	k.got = append(k.got, n)
	return k.err
}

func TestNotifyTellsWhatTheEngineTells(t *testing.T) {
	l := leasetest.New("orders", leasetest.WithToken(5))
	about := func(kind api.Kind, err error) api.Notification {
		return api.Notification{Kind: kind, Stream: "orders", Token: 5, Lease: l, Err: err}
	}
	var h keep
	for _, kind := range []api.Kind{api.Added, api.Superseded, api.Expired, 99, api.Disowned} {
		require.NoError(t, leasetest.Notify(t.Context(), &h, kind, l))
	}
	require.NoError(t, leasetest.Notify(t.Context(), &h, api.Terminated, nil))
	require.Equal(t, []api.Notification{
		about(api.Added, nil),
		about(api.Superseded, nil),
		{Kind: api.Expired, Stream: "orders"},
		about(99, nil),
		about(api.Disowned, api.ErrLeaseLost),
		{Kind: api.Terminated},
	}, h.got)
}

func TestSignalHasItsPayload(t *testing.T) {
	l := leasetest.New("orders", leasetest.WithToken(5))
	var h keep
	require.NoError(t, leasetest.Signal(t.Context(), &h, l, []byte("look")))
	require.NoError(t, leasetest.Notify(t.Context(), &h, api.Signaled, l))
	require.Equal(t, []api.Notification{
		{Kind: api.Signaled, Stream: "orders", Token: 5, Lease: l, Payload: []byte("look")},
		{Kind: api.Signaled, Stream: "orders", Token: 5, Lease: l},
	}, h.got)
	h.err = io.EOF
	require.ErrorIs(t, leasetest.Signal(t.Context(), &h, l, nil), io.EOF)
	require.Positive(t, l.Remaining(), "an error means nothing")
	err := leasetest.Signal(t.Context(), api.HandlerFunc(func(ctx context.Context, _ api.Notification) error {
		l.Lose(nil)
		require.Error(t, ctx.Err(), "it ends with the lease")
		panic("on purpose")
	}), l, nil)
	var panicked *api.PanicError
	require.ErrorAs(t, err, &panicked)
}

func TestNotifyFailsTheLeaseOnlyForAnErrorFromAdded(t *testing.T) {
	for _, failure := range []error{io.EOF, api.Permanent(io.EOF), api.Snooze(time.Minute)} {
		l := leasetest.New("orders")
		require.Equal(t, failure, leasetest.Notify(t.Context(), &keep{err: failure}, api.Added, l))
		require.Equal(t, leasetest.Outcome{State: leasetest.Failed, Cause: failure}, l.Outcome())
	}
	l := leasetest.New("orders")
	for _, kind := range []api.Kind{api.Superseded, api.Expired, 99} {
		require.Equal(t, io.EOF, leasetest.Notify(t.Context(), &keep{err: io.EOF}, kind, l))
		require.Equal(t, leasetest.Held, l.Outcome().State)
	}
}

func TestNotifyLeavesALeaseThatTheHandlerEnded(t *testing.T) {
	for _, kind := range []api.Kind{api.Added, api.Releasing} {
		l := leasetest.New("orders")
		h := api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
			return errors.Join(n.Lease.Done(ctx), io.EOF)
		})
		require.ErrorIs(t, leasetest.Notify(t.Context(), h, kind, l), io.EOF)
		require.Equal(t, leasetest.Outcome{State: leasetest.Done}, l.Outcome())
	}
}

func TestNotifyHandsBackAfterReleasing(t *testing.T) {
	for name, end := range map[string]func() error{
		"nil":   func() error { return nil },
		"error": func() error { return io.EOF },
		"panic": func() error { panic("oops") },
	} {
		for _, why := range []error{nil, api.ErrDraining, api.ErrRebalanced} {
			t.Run(fmt.Sprint(name, " ", why), func(t *testing.T) {
				want := cmp.Or(why, api.ErrDraining)
				l := leasetest.New("orders")
				h := api.HandlerFunc(func(_ context.Context, n api.Notification) error {
					require.Equal(t, want, n.Err)
					require.Positive(t, n.Lease.Remaining())
					require.NoError(t, n.Lease.Context().Err())
					return end()
				})
				if why == nil {
					leasetest.Notify(t.Context(), h, api.Releasing, l)
				} else {
					leasetest.Release(t.Context(), h, l, why)
				}
				require.Equal(t, leasetest.Outcome{State: leasetest.HandedBack, Cause: want}, l.Outcome())
				require.ErrorIs(t, context.Cause(l.Context()), api.ErrReleasing)
			})
		}
	}
}

func TestNotifyCatchesPanics(t *testing.T) {
	l := leasetest.New("orders")
	h := api.HandlerFunc(func(context.Context, api.Notification) error { panic("oops") })
	err := leasetest.Notify(t.Context(), h, api.Added, l)
	var p *api.PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "oops", p.Value)
	require.Contains(t, string(p.Stack), "TestNotifyCatchesPanics")
	require.Equal(t, leasetest.Outcome{State: leasetest.Failed, Cause: err}, l.Outcome())
}

func TestNotifyOfDisownedAfterAnotherEndingIsAMistakeOfTheTest(t *testing.T) {
	lost := leasetest.New("orders")
	lost.Lose(api.ErrSessionLost)
	var h keep
	require.NoError(t, leasetest.Notify(t.Context(), &h, api.Disowned, lost))
	require.Equal(t, api.ErrSessionLost, h.got[0].Err)

	done := leasetest.New("orders")
	require.NoError(t, done.Done(t.Context()))
	require.PanicsWithValue(t, "leasetest: no Disowned follows a lease that ended as Done", func() {
		leasetest.Notify(t.Context(), &h, api.Disowned, done)
	})
}

type (
	noteKey  struct{}
	leaseKey struct{}
)

func TestNotifyGivesTheContextThatAnEngineGives(t *testing.T) {
	test := context.WithValue(t.Context(), noteKey{}, "the test's")
	for kind, ends := range map[api.Kind]bool{
		api.Added: true, api.Superseded: true, api.Releasing: true, api.Expired: false, api.Terminated: false,
	} {
		l := leasetest.New("orders", leasetest.WithContext(context.WithValue(t.Context(), leaseKey{}, "the lease's")))
		var kept context.Context
		h := api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
			require.NoError(t, ctx.Err())
			require.Equal(t, "the test's", ctx.Value(noteKey{}))
			if ends {
				require.Equal(t, "the lease's", ctx.Value(leaseKey{}))
			}
			kept = ctx
			return nil
		})
		require.NoError(t, leasetest.Notify(test, h, kind, l))
		derived, cancel := context.WithCancel(kept)
		defer cancel()
		l.Lose(api.ErrSessionLost)
		require.Equal(t, ends, kept.Err() != nil, kind)
		require.Equal(t, ends, derived.Err() != nil, kind)
		if want := map[bool]error{true: api.ErrReleasing, false: api.ErrSessionLost}[kind == api.Releasing]; ends {
			require.ErrorIs(t, context.Cause(kept), want)
			require.ErrorIs(t, context.Cause(derived), want)
		}
	}
	lost := leasetest.New("orders")
	h := api.HandlerFunc(func(ctx context.Context, n api.Notification) error { return ctx.Err() })
	require.NoError(t, leasetest.Notify(test, h, api.Disowned, lost), "there is something to clean up")
}

func TestNotifyEndsTheContextOfARunningHandlerWithThatOfTheTest(t *testing.T) {
	test, cancel := context.WithCancel(t.Context())
	l := leasetest.New("orders")
	var kept context.Context
	wait := api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
		if n.Kind == api.Added {
			kept = ctx
			return nil
		}
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	require.NoError(t, leasetest.Notify(test, wait, api.Added, l))
	require.ErrorIs(t, leasetest.Notify(test, wait, api.Superseded, l), context.Canceled)
	require.ErrorIs(t, leasetest.Notify(test, wait, api.Superseded, l), context.Canceled, "ended before")
	require.NoError(t, kept.Err(), "work that a handler has started ends with the lease only")
	l.Expire()
	require.ErrorIs(t, context.Cause(kept), api.ErrLeaseLost)
}

func TestSupersedeClosesTheChannel(t *testing.T) {
	l := leasetest.New("orders")
	select {
	case <-l.Superseded():
		t.Fatal("nobody has announced it again")
	default:
	}
	require.NoError(t, leasetest.Notify(t.Context(), &keep{}, api.Superseded, l))
	<-l.Superseded()
	l.Supersede() // again
	require.Equal(t, leasetest.Held, l.Outcome().State)
	require.NoError(t, l.Context().Err())

	ended := leasetest.New("orders")
	ended.Expire()
	ended.Supersede()
	select {
	case <-ended.Superseded():
		t.Fatal("it is held no longer")
	default:
	}
}
