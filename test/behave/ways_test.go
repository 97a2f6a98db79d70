package behave_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
)

// runEach starts a new engine with RunEach.
func (h *harness) runEach(f func(context.Context, api.Lease) error, opts ...engine.Option) *member {
	h.t.Helper()
	m := h.member("each", nil, opts...)
	go func() { m.ran <- m.engine.RunEach(context.Background(), f) }()
	until(h.t, "the engine is ready", func() bool { return m.engine.Ready(context.Background()) == nil })
	return m
}

// TestRunEach: nil means Done, errors and panics mean Fail, Permanent and Snooze mean what they always do, and what the function
// did to its lease counts.
func TestRunEach(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var seen attempts
	var problems atomic.Int64
	m := h.runEach(func(ctx context.Context, l api.Lease) error {
		seen.note(l)
		switch l.Stream() {
		case "nil":
			return nil
		case "error":
			return errWork
		case "panic":
			panic("at the disco")
		case "permanent":
			return api.Permanent(errWork)
		case "snooze":
			return api.Snooze(time.Hour)
		case "done twice":
			if l.Done(ctx) != nil || l.Done(l.Context()) != nil || !errors.Is(l.Release(ctx), api.ErrNotHeld) {
				problems.Add(1)
			}
			return errWork // has no effect
		case "release":
			if l.Attempt() == 0 && len(seen.of("release")) < 3 {
				return l.Release(ctx)
			}
			return nil
		case "fail":
			if l.Attempt() < 2 {
				return l.Fail(ctx, errWork)
			}
			return nil
		case "forever":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}, quick(1)...)
	h.announce("nil", "error", "panic", "permanent", "snooze", "done twice", "release", "fail", "forever")
	// "fail" exceeds the limit of one retry.
	h.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 1, Consumers: 1, Later: 1, Dead: 4})
	require.Zero(t, problems.Load())
	require.Equal(t, []int{0, 1}, seen.of("error"))
	require.Equal(t, []int{0, 1}, seen.of("panic"))
	require.Equal(t, []int{0}, seen.of("permanent"))
	require.Equal(t, []int{0, 0, 0}, seen.of("release"))
	require.Equal(t, []int{0, 1}, seen.of("fail"))
	require.Equal(t, []int{0}, seen.of("forever"))
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 1, Later: 1, Dead: 4})
	require.Zero(t, h.countField("_retry_count"), "forever was requeued")
}

// TestRunEachStopsInADrain: when the engine drains, each function's context ends with the cause ErrDraining while its lease is
// valid. What it returns hands the stream back, nil as well as the error of its context; Done is done.
func TestRunEachStopsInADrain(t *testing.T) {
	checkLeaks(t)
	const n = 300
	h := newHarness(t)
	h.announce(names("s", n)...)
	var running, wrong atomic.Int64
	m := h.runEach(func(ctx context.Context, l api.Lease) error {
		running.Add(1)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), api.ErrDraining) || l.Remaining() <= 0 || l.Context().Err() != nil {
			wrong.Add(1)
		}
		switch l.Stream() {
		case "s-0":
			_ = l.Done(ctx)
			return nil
		case "s-1":
			return nil
		}
		return ctx.Err()
	})
	until(t, "all run", func() bool { return running.Load() == n })
	h.stateIs(state{Input: n, Pending: n, Leases: n, Sessions: 1, Consumers: 1})
	require.NoError(t, m.shutdown())
	require.Zero(t, wrong.Load())
	h.stateIs(state{Input: n - 1})
	require.Zero(t, h.countField("_retry_count"))
}

// TestRunEachThatNeverReturns does not keep its stream beyond the drain timeout.
func TestRunEachThatNeverReturns(t *testing.T) {
	checkLeaks(t)
	h := newHarness(t)
	h.announce("s")
	never, left := make(chan struct{}), make(chan error, 1)
	m := h.runEach(func(_ context.Context, l api.Lease) error {
		<-never
		left <- l.Done(context.Background())
		return nil
	}, engine.WithDrainTimeout(4*time.Second))
	until(t, "it runs", func() bool { return m.engine.Stats().Held == 1 })
	require.ErrorIs(t, m.shutdown(), api.ErrDrainTimeout)
	h.stateIs(state{Input: 1})
	close(never)
	require.ErrorIs(t, receive(t, "the function returns", left), api.ErrNotHeld)
	h.stateIs(state{Input: 1})
}

// TestRunEachLosesItsLease: the function's context ends, its result has no effect, and the stream is handed out again.
func TestRunEachLosesItsLease(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var runs atomic.Int64
	causes := make(chan error, 1)
	h.runEach(func(ctx context.Context, l api.Lease) error {
		if runs.Add(1) > 1 {
			return nil
		}
		if err := h.do("DEL", h.keysOf(l.Stream()).Lease(l.Stream())).Error(); err != nil {
			return err
		}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil
	}, engine.WithLeaseTTL(shortTTL))
	h.announce("s")
	require.ErrorIs(t, receive(t, "the context ends", causes), api.ErrLeaseLost)
	h.stateIs(state{Sessions: 1, Consumers: 1})
	require.EqualValues(t, 2, runs.Load())
}

// TestStart: notifications arrive on a channel, Terminated last, and streams that the user does not end are not requeued before the
// drain timeout.
func TestStart(t *testing.T) {
	checkLeaks(t)
	const n = 500
	h := newHarness(t)
	ctx := context.Background()
	m := h.member("a", nil, engine.WithDrainTimeout(4*time.Second))
	news, err := m.engine.Start(ctx)
	require.NoError(t, err)
	_, err = m.engine.Start(ctx)
	require.ErrorIs(t, err, api.ErrStarted)
	h.announce(names("s", n)...)
	leases := make(map[string]api.Lease)
	for len(leases) < n {
		x := receive(t, "Added", news)
		require.Equal(t, api.Added, x.Kind)
		require.Nil(t, leases[x.Stream], "%s is added once", x.Stream)
		leases[x.Stream] = x.Lease
	}
	h.stateIs(state{Input: n, Pending: n, Leases: n, Sessions: 1, Consumers: 1})
	require.NoError(t, leases["s-0"].Done(ctx))
	require.NoError(t, leases["s-1"].Fail(ctx, api.Snooze(time.Hour)))
	require.NoError(t, leases["s-2"].Fail(ctx, api.Permanent(errWork)))
	require.NoError(t, leases["s-3"].Release(ctx))
	again := receive(t, "s-3 comes back", news)
	require.Equal(t, "s-3", again.Stream)
	require.Greater(t, again.Token, leases["s-3"].Token())
	h.announce("s-4")
	x := receive(t, "Superseded", news)
	require.Equal(t, api.Superseded, x.Kind)
	require.Same(t, leases["s-4"], x.Lease)

	// Half of them are released by the user, the others wait for the drain timeout.
	ended := make(chan error, 1)
	go func() { ended <- m.engine.Shutdown(ctx) }()
	releasing := 0
	var releases sync.WaitGroup
	refused := make(chan error, n)
	for x := range news {
		if x.Kind == api.Terminated {
			require.ErrorIs(t, x.Err, api.ErrDrainTimeout)
			_, open := <-news
			require.False(t, open, "Terminated is the last")
			break
		}
		require.Equal(t, api.Releasing, x.Kind)
		require.Positive(t, x.Lease.Remaining())
		if releasing++; releasing%2 == 0 {
			// Concurrently: in sequence the last notification would come after the timeout.
			releases.Go(func() {
				if err := x.Lease.Release(ctx); err != nil {
					refused <- err
				}
			})
		}
	}
	releases.Wait()
	require.Empty(t, refused)
	require.Equal(t, n-3, releasing)
	require.ErrorIs(t, receive(t, "Shutdown returns", ended), api.ErrDrainTimeout)
	h.stateIs(state{Input: n - 3 + 1, Later: 1, Dead: 1})
	require.Zero(t, h.countField("_retry_count"))
}

// TestStartWithNobodyReceiving: nothing is lost while nobody receives, and the engine ends all the same.
func TestStartWithNobodyReceiving(t *testing.T) {
	checkLeaks(t)
	const n = 200
	h := newHarness(t)
	m := h.member("a", nil, engine.WithLeaseTTL(shortTTL), engine.WithDrainTimeout(4*time.Second))
	news, err := m.engine.Start(context.Background())
	require.NoError(t, err)
	h.announce(names("s", n)...)
	until(t, "all are held", func() bool { return m.engine.Stats().Held == n })
	kept := m.metric("renewals_total", "result", "kept")
	untilEvery(t, 50*time.Millisecond, "they are renewed", func() bool { return m.metric("renewals_total", "result", "kept") > kept+2*n })
	require.Zero(t, m.metric("disowned_total"))
	require.ErrorIs(t, m.engine.Shutdown(context.Background()), api.ErrDrainTimeout)
	for range news { //nolint:revive // drains the channel until it is closed
	}
	h.stateIs(state{Input: n})
}

// TestStartEndsWithItsContext: the end of the context drains.
func TestStartEndsWithItsContext(t *testing.T) {
	checkLeaks(t)
	h := newHarness(t)
	m := h.member("a", nil)
	ctx, cancel := context.WithCancel(context.Background())
	news, err := m.engine.Start(ctx)
	require.NoError(t, err)
	h.announce("s", "t")
	var work sync.WaitGroup
	for x := range news {
		switch x.Kind {
		case api.Added:
			work.Go(func() { // as users do: a goroutine per stream
				<-x.Lease.Context().Done()
			})
			if m.engine.Stats().Held == 2 {
				cancel()
			}
		case api.Releasing:
			require.NoError(t, x.Lease.Release(context.Background()))
		case api.Terminated:
			require.NoError(t, x.Err)
		}
	}
	cancel()
	work.Wait()
	require.NoError(t, m.engine.Shutdown(context.Background()))
	h.stateIs(state{Input: 2})
}
