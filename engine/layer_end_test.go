package engine

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// In a drain Releasing arrives at once while the lease is valid, and the engine waits for Ended.
func TestLayerDrain(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 2000
		h.server.announce(streams(n)...)
		r := newRecorder()
		left := map[string]time.Duration{}
		r.onReleasing = func(l api.Lease) {
			r.mu.Lock()
			left[l.Stream()] = l.Remaining()
			r.mu.Unlock()
			time.AfterFunc(2*time.Second, func() { r.engine.Ended(l, nil) })
		}
		e := h.runLayer(r, WithWorkers(2))
		advance(5 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		before := runtime.NumGoroutine()
		began := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- e.Shutdown(context.Background()) }()
		advance(time.Second)
		require.Len(t, left, n)
		require.Less(t, runtime.NumGoroutine(), before+20)
		for s, d := range left {
			require.Positive(t, d)
			require.Less(t, r.at[s+" releasing"].Sub(began), 100*time.Millisecond)
		}
		require.NoError(t, <-ended)
		<-e.ended
		require.NoError(t, e.err)
		require.Less(t, time.Since(began), 4*time.Second)
		require.Equal(t, []int{n, 0, 0, 0}, h.server.counts(), "no retry, no loss")
		r.check(t)
	})
}

// A layer that does not end in time holds up the end no longer than a handler does, and owns nothing after it. So does one whose
// lease has long been lost.
func TestLayerThatDoesNotEndInTime(t *testing.T) {
	for _, lost := range []bool{false, true} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			r := newRecorder()
			e := h.runLayer(r, WithDrainTimeout(5*time.Second))
			advance(time.Second)
			if lost {
				h.server.forgetLeases(0)
				advance(20 * time.Second)
			}
			began := time.Now()
			shutdown, run := e.shutdownAndWait()
			require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
			require.ErrorIs(t, run, api.ErrDrainTimeout)
			require.LessOrEqual(t, time.Since(began), 5*time.Second)
			require.Zero(t, r.lease("s").Remaining())
			require.Equal(t, []int{1, 0, 0, 0}, h.server.counts(), "handed back")
			if !lost {
				require.Equal(t, "added, releasing", r.of("s"))
				require.ErrorIs(t, context.Cause(r.lease("s").Context()), api.ErrDrainTimeout)
			}
			r.finish("s", nil) // has no effect, and does not panic
			r.check(t)
		})
	}
}

// Methods that block or panic keep no lease from being renewed.
func TestLayerThatBlocksOrPanicsLosesNoLease(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		r := newRecorder()
		gate := make(chan struct{})
		e := h.runLayer(&obstinate{recorder: r, gate: gate}, WithRecovery(scan.Config{MaxRetries: 5}))
		advance(time.Second)
		advance(30 * time.Second)
		require.Equal(t, 20, e.Stats().Held, "the one that failed was handed out again")
		h.server.announce("s00003", "s00004", "s00005")
		advance(time.Minute)
		for l := range e.Leases() {
			require.Positive(t, l.Remaining())
		}
		require.Equal(t, "added, added", r.of("s00001"), "a panic of Added is a failure")
		require.Contains(t, e.logged(), "of Added")
		close(gate)
		advance(time.Second)
		require.Contains(t, e.logged(), "of Superseded")
		r.check(t)
	})
}

// obstinate panics in the first Added of s00001 and in each Superseded, and blocks in the first Superseded.
type obstinate struct {
	*recorder
	gate     chan struct{}
	panicked bool
}

func (o *obstinate) Added(l api.Lease) {
	o.recorder.Added(l)
	if l.Stream() == "s00001" && !o.panicked {
		o.panicked = true
		panic("of Added")
	}
}

func (o *obstinate) Superseded(l api.Lease) {
	o.recorder.Superseded(l)
	<-o.gate
	panic("of Superseded")
}
