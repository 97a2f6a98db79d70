package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Ended without an error hands a stream back, which counts nothing, and with one fails it. Calling it again does nothing.
func TestLayerEndsItsWork(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("back", "fails", "at once", "done")
		r := newRecorder()
		r.onAdded = func(l api.Lease) {
			if l.Stream() == "at once" && l.Attempt() == 0 {
				r.engine.Ended(l, errors.New("within Added"))
				r.engine.Ended(l, nil)
			}
		}
		e := h.runLayer(r, WithRecovery(scan.Config{MaxRetries: 5}))
		advance(10 * time.Millisecond)
		require.Equal(t, 3, e.Stats().Held)
		require.Zero(t, e.Stats().Busy, "no worker waits for a layer")
		first := r.lease("back")
		r.finish("back", nil)
		r.finish("fails", errors.New("it broke"))
		require.NoError(t, r.lease("done").Done(context.Background()))
		r.finish("done", errors.New("has no effect"))
		advance(time.Minute)
		require.Equal(t, "added, ended, added", r.of("back"))
		require.Equal(t, "added, ended, added", r.of("fails"))
		require.Equal(t, "added, added", r.of("at once"))
		require.Equal(t, "added, ended", r.of("done"))
		require.Zero(t, r.lease("back").Attempt())
		require.Equal(t, 1, r.lease("fails").Attempt())
		require.Equal(t, 1, r.lease("at once").Attempt())
		require.Greater(t, r.lease("back").Token(), first.Token())
		require.Equal(t, 3, e.Stats().Held)
		r.check(t)
	})
}

// Calls for a lease come after Added has returned, in order, whatever worker that waits for, and nothing comes after Disowned.
func TestLayerHearsOfALeaseInOrder(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		gate := make(chan struct{})
		r := newRecorder()
		r.onAdded = func(api.Lease) { <-gate } // a layer must not; it shows the order
		h.server.announce("a", "b")
		e := h.runLayer(r, WithWorkers(1))
		advance(time.Second)
		require.Equal(t, "added", r.of("a"))
		require.Empty(t, r.of("b"), "it waits for a worker")
		e.Ended(e.held("b"), nil) // has no effect before Added
		for _, s := range []string{"a", "b"} {
			l := e.held(s)
			e.ownership.post(l, api.Notification{Kind: api.Signaled, Payload: []byte("1")})
			e.ownership.supersede(l)
		}
		h.server.forgetLeases(0)
		advance(30 * time.Second)
		require.Equal(t, "added", r.of("a"))
		lost := r.lease("a")
		close(gate)
		advance(time.Second)
		for _, s := range []string{"a", "b"} {
			require.Equal(t, "added, signaled 1, superseded, disowned", r.of(s))
		}
		e.ownership.post(lost.(*lease.Lease), api.Notification{Kind: api.Signaled})
		advance(time.Minute)
		require.Equal(t, "added, signaled 1, superseded, disowned", r.of("a"), "until Ended is called nothing follows")
		r.finish("a", nil)
		advance(30 * time.Second)
		require.Equal(t, "added, signaled 1, superseded, disowned, ended, added", r.of("a"))
		require.Positive(t, e.held("a").Remaining())
		r.finish("b", errors.New("has no effect on a lease that was lost"))
		advance(time.Minute)
		require.Zero(t, e.held("b").Attempt())
		r.check(t)
	})
}

// A stream that was lost is not acquired here again while its work goes on, however its lease left. Another process may have it.
func TestLayerKeepsAStreamBusyUntilItsWorkHasEnded(t *testing.T) {
	for _, lost := range []bool{true, false} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				r := newRecorder()
				e := h.runLayer(r)
				advance(time.Second)
				if lost {
					h.server.forgetLeases(0)
					advance(20 * time.Second)
					require.Equal(t, "added, disowned", r.of("s"))
				} else {
					require.NoError(t, r.lease("s").Done(context.Background()))
					h.server.announce("s")
					advance(20 * time.Second)
					require.Equal(t, "added", r.of("s"))
				}
				require.Zero(t, e.Stats().Held)
				other := newRecorder()
				h.runLayer(other)
				for n := 0; n < 20 && other.of("s") == ""; n++ {
					advance(time.Minute) // the entry waits here first, and is handed on less and less often
				}
				require.Equal(t, "added", other.of("s"), "another process gets it")
				other.finish("s", nil)
				r.finish("s", nil)
				advance(time.Minute)
				require.Zero(t, e.way.(*layered).mu.open-e.Stats().Held)
				require.Empty(t, e.way.(*layered).mu.lingering)
				r.check(t)
				other.check(t)
			})
		})
	}
}

// As soon as the work has ended, the stream is acquired again: nothing waits for a timer.
func TestLayerThatEndsGetsTheNextAnnouncementAtOnce(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		r := newRecorder()
		h.runLayer(r)
		advance(time.Second)
		require.NoError(t, r.lease("s").Done(context.Background()))
		h.server.announce("s")
		advance(time.Second)
		require.Equal(t, "added", r.of("s"))
		r.finish("s", nil)
		advance(10 * time.Millisecond)
		require.Equal(t, "added, ended, added", r.of("s"))
	})
}

// Topology is called for each change, but not twice at a time.
func TestLayerHearsOfTheTopology(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		r := newRecorder()
		r.onTopology = func() { time.Sleep(10 * time.Second) }
		e := h.runLayer(r)
		advance(time.Second)
		require.Zero(t, r.looked())
		for range 5 {
			e.ResetTopology()
			advance(time.Second)
		}
		require.Equal(t, 1, r.looked())
		advance(6 * time.Second)
		require.Equal(t, 2, r.looked(), "once more for all that changed meanwhile")
		advance(time.Minute)
		require.Equal(t, 2, r.looked())
		h.server.restart(false)
		advance(time.Minute)
		require.Greater(t, r.looked(), 2, "a server was replaced")
	})
}

func TestLayerMustExist(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine()
		require.ErrorIs(t, e.RunLayer(context.Background(), nil), api.ErrInvalidConfig)
		_, err := e.NewClient(nil)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, "WithDial")
		require.Empty(t, e.SlotMaster(7))
		require.Equal(t, "svc", e.Service())
	})
}
