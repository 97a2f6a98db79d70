package behave_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
)

// ended waits for a context to end.
func ended(t *testing.T, what string, ctx context.Context) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		require.FailNow(t, "did not end: "+what)
	}
}

// TestWorkStartedInAHandlerStopsWithItsLease: "go work(ctx)" is right. The stream is lost, taken again, done, and handed back, and
// each time the work on it has ended before the next owner begins.
func TestWorkStartedInAHandlerStopsWithItsLease(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var mu sync.Mutex
	var contexts []context.Context
	m := h.start("a", api.Funcs{
		Added: func(ctx context.Context, n api.Notification) error {
			mu.Lock()
			defer mu.Unlock()
			contexts = append(contexts, ctx)
			return nil
		},
		Disowned: func(ctx context.Context, _ api.Notification) error { return ctx.Err() },
	}, engine.WithLeaseTTL(shortTTL))
	of := func(i int) context.Context {
		until(t, "it is owned", func() bool { mu.Lock(); defer mu.Unlock(); return len(contexts) > i })
		mu.Lock()
		defer mu.Unlock()
		return contexts[i]
	}
	h.announce("s")
	lost := of(0)
	require.NoError(t, lost.Err())
	require.NoError(t, h.do("UNLINK", h.keysOf("s").Lease("s")).Error()) // by hand
	ended(t, "that of a lost stream", lost)
	require.ErrorIs(t, context.Cause(lost), api.ErrLeaseLost)
	released := of(1)
	require.NoError(t, m.lease("s", 2).Release(released))
	require.ErrorIs(t, context.Cause(released), api.ErrNotHeld)
	kept := of(2)
	require.NoError(t, kept.Err())
	require.NoError(t, m.shutdown())
	require.ErrorIs(t, context.Cause(kept), api.ErrDraining)
	require.Equal(t, 1, m.notified(api.Disowned))
	require.NotContains(t, m.log.String(), "has no effect", "the context of Disowned had not ended")
	require.NoError(t, overlap.CheckAll(m.recorder))
	h.stateIs(state{Input: 1})
}

// TestRunEachMovesOnToTheNewerAnnouncement: a stream is announced again with another Info while its function runs, by a producer
// that knows nothing of owners. The function that waits for Superseded returns nil; the newer announcement is owned then, with
// its Info and a greater token, by whichever process has read it.
//
// RunEach used to drop Superseded, so the newer announcement stayed parked for as long as the function ran.
func TestRunEachMovesOnToTheNewerAnnouncement(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	type ownership struct {
		info  string
		token api.Token
	}
	owned := make(chan ownership, 100)
	loop := func(ctx context.Context, l api.Lease) error {
		owned <- ownership{string(l.Info()), l.Token()}
		for {
			select {
			case <-l.Superseded():
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	a := h.runEach(loop, engine.WithLeaseTTL(shortTTL))
	b := h.runEach(loop, engine.WithLeaseTTL(shortTTL))
	p := h.publisher()
	var last api.Token
	for _, version := range []string{"1", "2", "3", "4"} {
		_, err := p.Publish(context.Background(), "s", map[string]string{"version": version})
		require.NoError(t, err)
		got := receive(t, "it is owned", owned)
		require.JSONEq(t, `{"version":"`+version+`"}`, got.info)
		require.Greater(t, got.token, last)
		last = got.token
		h.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 2, Consumers: 2})
	}
	require.Zero(t, a.engine.Stats().Parked+b.engine.Stats().Parked)
	require.NoError(t, a.shutdown())
	require.NoError(t, b.shutdown())
	h.stateIs(state{Input: 1})
	require.Zero(t, h.countField("_retry_count"))
}
