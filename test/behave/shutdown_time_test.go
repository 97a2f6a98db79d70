package behave_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/leaks"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/wait"
)

// TestShutdownWhileServersStandStill: all servers are stopped with SIGSTOP, so connections stay open and nothing answers, and the
// handler of Terminated never returns. Run returns within the drain timeout, and nobody owns anything. When the servers go on,
// everything is recovered, and all goroutines end.
//
// Handing back, the last notification and the close of each client used to have times of their own after the drain timeout: up to
// 11 s more.
func TestShutdownWhileServersStandStill(t *testing.T) {
	const n, timeout = 200, 4 * time.Second
	h := newOwnHarness(t)
	ignored := leaks.Known() // those of the servers and of the test's client
	h.announce(names("s", n)...)
	h.announce(names("s", n)...) // parked
	never := make(chan struct{})
	a := h.start("a", api.Funcs{Terminated: func(context.Context, api.Notification) error { <-never; return nil }},
		engine.WithDrainTimeout(timeout))
	a.holds(n)
	for _, s := range h.data() {
		require.NoError(t, s.Pause())
	}
	began := time.Now()
	err := a.engine.Shutdown(context.Background())
	took := time.Since(began)
	for _, s := range h.data() {
		require.NoError(t, s.Resume())
	}
	require.ErrorIs(t, err, api.ErrDrainTimeout)
	require.ErrorIs(t, receive(t, "Run returns", a.ran), api.ErrDrainTimeout)
	require.Less(t, took, timeout+2*time.Second, "with what a busy machine adds")
	// It has begun; on a busy machine its goroutine may have to wait for a processor, and the end does not wait for that.
	until(t, "the last notification", func() bool { return a.notified(api.Terminated) == 1 })
	for s, x := range a.owned() {
		require.Zero(t, x.lease.Remaining(), "%s is held", s)
		require.Error(t, x.lease.Context().Err())
	}
	close(never)

	b := h.start("b", nil)
	b.holds(n)
	until(t, "all announcements are there", func() bool { s := h.state(); return s.Input+s.Later == 2*n })
	require.NoError(t, overlap.CheckAll(a.recorder, b.recorder))
	require.NoError(t, b.shutdown())
	var left error
	wait.For(patience, 100*time.Millisecond, func() bool { left = goleak.Find(ignored...); return left == nil })
	require.NoError(t, left)
}
