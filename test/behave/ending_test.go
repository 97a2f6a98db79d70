package behave_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
)

// TestHandlerThatNeverReturns occupies one worker and keeps its own stream; everything else carries on.
func TestHandlerThatNeverReturns(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	never := make(chan struct{})
	m := h.start("a", api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		if n.Stream == "stuck" {
			<-never
		}
		return nil
	}}, engine.WithDrainTimeout(8*time.Second), engine.WithWorkers(2)) // of which 2 s are for handing back
	h.announce("stuck")
	until(t, "it is stuck", func() bool { return m.notified(api.Added) == 1 })
	h.announce(names("s", 500)...)
	until(t, "others are added", func() bool { return m.notified(api.Added) == 501 })
	// Notifications of the stuck stream queue behind its handler, and block no other stream.
	h.announce("stuck")
	h.announce("s-0")
	until(t, "s-0 is superseded", func() bool { return m.notifiedOf("s-0", api.Superseded) == 1 })
	require.Zero(t, m.notifiedOf("stuck", api.Superseded))
	until(t, "the log says who blocks", func() bool { return containsAll(m.log.String(), "handlers block workers", "stuck") })
	l := m.lease("stuck", 1)
	require.Positive(t, l.Remaining(), "it is renewed")
	h.stateIs(state{Input: 503, Pending: 503, Leases: 501, Sessions: 1, Consumers: 1})

	// The stream may be ended from elsewhere. Its next announcement then waits for the handler.
	require.NoError(t, l.Done(context.Background()))
	require.ErrorIs(t, m.shutdown(), api.ErrDrainTimeout)
	close(never)
	h.stateIs(state{Input: 502})
	require.Equal(t, 1, m.notifiedOf("stuck", api.Added))
}

// TestEndingsInsideTheHandler: what the handler did to the lease counts, whatever it returns or does afterwards.
func TestEndingsInsideTheHandler(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	problems := make(chan error, 10)
	check := func(err, want error) {
		if (want == nil && err != nil) || (want != nil && !errors.Is(err, want)) {
			problems <- err
		}
	}
	m := h.start("a", api.Funcs{Added: func(ctx context.Context, n api.Notification) error {
		l := n.Lease
		if l.Attempt() > 0 {
			return nil // kept
		}
		switch n.Stream {
		case "done twice":
			check(l.Done(l.Context()), nil)
			check(l.Done(ctx), nil)
			check(l.Release(ctx), api.ErrNotHeld)
			check(l.Fail(ctx, errWork), api.ErrNotHeld)
		case "done, then an error":
			check(l.Done(ctx), nil)
			return errWork
		case "done, then a panic":
			check(l.Done(ctx), nil)
			panic("too late")
		case "fail":
			check(l.Fail(ctx, errWork), nil)
			check(l.Fail(ctx, nil), nil)
			check(l.Done(ctx), api.ErrNotHeld)
		case "fail, then nil":
			check(l.Fail(ctx, nil), nil)
		case "permanent":
			check(l.Fail(ctx, api.Permanent(errWork)), nil)
			return nil
		}
		return nil
	}}, quick(3)...)
	h.announce("done twice", "done, then an error", "done, then a panic", "fail", "fail, then nil", "permanent")
	h.stateIs(state{Input: 2, Pending: 2, Leases: 2, Sessions: 1, Consumers: 1, Dead: 1})
	close(problems)
	for err := range problems {
		require.NoError(t, err)
	}
	require.Equal(t, 1, m.lease("fail", 2).Attempt())
	require.Equal(t, 1, m.lease("fail, then nil", 2).Attempt())
	for _, s := range []string{"done twice", "done, then an error", "done, then a panic"} {
		l := m.lease(s, 1)
		require.NoError(t, l.Done(ctx))
		require.ErrorIs(t, context.Cause(l.Context()), api.ErrNotHeld)
		require.Equal(t, 1, m.notifiedOf(s, api.Added))
	}
	require.Zero(t, m.notified(api.Disowned))
}

// TestEndingsOutsideTheHandler: leases outlive the handler of Added and can be ended from anywhere.
func TestEndingsOutsideTheHandler(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	m := h.start("a", nil, quick(3)...)
	h.announce("done", "release", "fail", "dead", "snooze", "raced")

	l := m.lease("done", 1)
	require.NoError(t, l.Done(l.Context()), "the context of the lease itself may be passed")
	require.ErrorIs(t, context.Cause(l.Context()), api.ErrNotHeld)
	require.Zero(t, l.Remaining())

	l = m.lease("release", 1)
	require.NoError(t, l.Release(ctx))
	require.NoError(t, l.Release(ctx))
	require.ErrorIs(t, l.Done(ctx), api.ErrNotHeld)
	again := m.lease("release", 2)
	require.Greater(t, again.Token(), l.Token())
	require.NotEqual(t, l.Entry(), again.Entry(), "requeueing makes a new entry")
	require.Zero(t, again.Attempt())
	require.ErrorIs(t, l.Done(ctx), api.ErrNotHeld, "the old lease cannot end the new one")
	require.Positive(t, again.Remaining())

	require.NoError(t, m.lease("fail", 1).Fail(ctx, errWork))
	require.Equal(t, 1, m.lease("fail", 2).Attempt())
	require.NoError(t, m.lease("fail", 2).Release(ctx))
	require.Equal(t, 1, m.lease("fail", 3).Attempt(), "a release neither adds nor clears retries")
	require.NoError(t, m.lease("dead", 1).Fail(ctx, api.Permanent(errWork)))
	require.NoError(t, m.lease("snooze", 1).Fail(ctx, api.Snooze(time.Hour)))

	// Of many concurrent calls one decides, and the others report the outcome.
	l = m.lease("raced", 1)
	errs := make(chan error)
	for i := range 30 {
		go func() {
			if i%2 == 0 {
				errs <- l.Done(ctx)
				return
			}
			errs <- l.Release(ctx)
		}()
	}
	ok := 0
	for range 30 {
		if err := <-errs; err == nil {
			ok++
		} else {
			require.ErrorIs(t, err, api.ErrNotHeld)
		}
	}
	require.Equal(t, 15, ok, "all calls of the kind that won succeed")
	done := l.Done(ctx) == nil
	want := state{Input: 2, Pending: 2, Leases: 2, Sessions: 1, Consumers: 1, Later: 1, Dead: 1}
	if !done {
		want.Input, want.Pending, want.Leases = 3, 3, 3
	}
	h.stateIs(want)
	require.Zero(t, m.notified(api.Disowned))
}

// TestDoneAfterTheLeaseWasDeletedByHand: the entry is pending for its owner and nobody else has the stream, so Done succeeds.
// Once a renewal has found the lease gone it is lost, and the stream is handed out again.
func TestDoneAfterTheLeaseWasDeletedByHand(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	drop := func(stream string) {
		n, err := h.do("DEL", h.keysOf(stream).Lease(stream)).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	}
	m := h.start("a", nil, engine.WithLeaseTTL(time.Hour)) // no renewal comes in between
	h.announce("at once")
	l := m.lease("at once", 1)
	drop("at once")
	require.NoError(t, l.Done(ctx))
	h.stateIs(state{Sessions: 1, Consumers: 1})
	require.NoError(t, m.shutdown())

	m = h.start("b", nil, engine.WithLeaseTTL(shortTTL))
	h.announce("later")
	l = m.lease("later", 1)
	drop("later")
	again := m.lease("later", 2)
	require.Equal(t, 1, m.notifiedOf("later", api.Disowned))
	require.Greater(t, again.Token(), l.Token())
	require.Zero(t, again.Attempt(), "losing a lease does not count as a retry")
	require.Zero(t, l.Remaining())
	require.ErrorIs(t, context.Cause(l.Context()), api.ErrLeaseLost)
	err := l.Done(ctx)
	require.ErrorIs(t, err, api.ErrNotHeld)
	require.ErrorIs(t, err, api.ErrLeaseLost)
	require.Positive(t, again.Remaining(), "the late Done ends nothing")
	require.NoError(t, again.Done(ctx))
	h.stateIs(state{Sessions: 1, Consumers: 1})
}

// TestDoneOfAStreamThatAnotherProcessOwns: the lease was deleted by hand, and another process got the stream under another
// announcement. Done reports that the lease is lost, and the announcement is handed out again. It used to stay pending for the
// engine that lost it, which ignored it.
func TestDoneOfAStreamThatAnotherProcessOwns(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.start("a", nil, engine.WithMaxStreams(1), engine.WithLeaseTTL(time.Hour)) // no renewal comes in between
	h.announce("s")
	l := a.lease("s", 1)
	_, err := h.do("DEL", h.keysOf("s").Lease("s")).AsInt64()
	require.NoError(t, err)
	b := h.start("b", nil)
	h.announce("s")
	other := b.lease("s", 1)
	require.ErrorIs(t, l.Done(ctx), api.ErrLeaseLost)
	require.Positive(t, other.Remaining())
	require.NoError(t, other.Done(ctx))
	until(t, "the first announcement is handed out again", func() bool { return a.notified(api.Added)+b.notified(api.Added) == 3 })
	h.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 2, Consumers: 2})
	require.Zero(t, h.countField("_retry_count"))
}
