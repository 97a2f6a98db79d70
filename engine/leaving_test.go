package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// later calls f in a goroutine, and returns what gets its result.
func later(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	synctest.Wait()
	return result
}

// unshut takes the mark off a lease, as an older version does that notes a waiting entry.
func (s *fakeServer) unshut(stream string) {
	n := s.layout.Of(stream)
	s.with(n, func(p *fakePartition) { p.leases[p.keys.Lease(stream)].shut = "" })
}

func ctx() context.Context { return context.Background() }

// An owner that leaves keeps its lease until it is done, whatever it finds.
func TestLeaving(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		require.ErrorIs(t, e.DoneIfShut(ctx(), l), api.ErrNotShut, "it was not shut")
		require.NoError(t, e.Shut(ctx(), l))
		require.NoError(t, e.Reopen(ctx(), l))
		require.ErrorIs(t, e.DoneIfShut(ctx(), l), api.ErrNotShut)
		require.NoError(t, e.Shut(ctx(), l))
		require.NoError(t, e.Shut(ctx(), l), "the last one counts")
		token := l.Token()
		h.server.unshut("s")
		require.ErrorIs(t, e.DoneIfShut(ctx(), l), api.ErrNotShut)
		require.Positive(t, l.Remaining())
		require.NoError(t, l.Context().Err())
		require.Equal(t, token, e.held("s").Token())
		e.heldThroughout(1, time.Minute)

		require.NoError(t, e.Shut(ctx(), l))
		require.NoError(t, e.DoneIfShut(ctx(), l))
		require.Zero(t, l.Remaining())
		require.ErrorIs(t, context.Cause(l.Context()), api.ErrNotHeld)
		require.NoError(t, e.DoneIfShut(ctx(), l), "again after success")
		require.NoError(t, l.Done(ctx()))
		require.ErrorIs(t, l.Release(ctx()), api.ErrNotHeld)
		require.ErrorIs(t, e.Shut(ctx(), l), api.ErrNotHeld)
		advance(time.Minute)
		require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
		require.Equal(t, "Added", e.kinds("s"))
		require.Empty(t, e.leaver.mu.marks)
	})
}

// While it is not known whether the lease has ended, nobody counts as its owner, yet nothing is over: the context goes on, and the lease
// is renewed, for as long as there is no answer.
func TestOwnershipRestsWhileDoneIfShutHasNoAnswer(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		sub, cancel := context.WithCancel(l.Context())
		defer cancel()
		require.NoError(t, e.Shut(ctx(), l))
		h.server.unshut("s") // as an older version does when it notes a waiting entry
		e.fake.failOnly(faultError, "done")
		result := later(func() error { return e.DoneIfShut(ctx(), l) })
		for range 60 {
			advance(time.Second)
			require.Zero(t, l.Remaining())
			require.NoError(t, l.Context().Err())
			require.NoError(t, sub.Err())
			require.True(t, l.Held())
		}
		short, done := context.WithTimeout(ctx(), time.Second)
		defer done()
		require.ErrorIs(t, e.DoneIfShut(short, l), context.DeadlineExceeded, "another call waits for the same answer")
		h.server.announce("s")
		advance(time.Second)
		e.fake.setFault(nil)
		require.ErrorIs(t, <-result, api.ErrNotShut)
		require.Positive(t, l.Remaining(), "it was renewed all the time")
		require.NoError(t, sub.Err())
		advance(time.Second)
		require.Equal(t, "Added Superseded", e.kinds("s"), "an announcement that came meanwhile is not forgotten")
		require.NoError(t, l.Done(ctx()))
		require.Error(t, sub.Err())
	})
}

// Trace: done has run, its answer is lost, and somebody else owns the stream when it is asked again, and when the renewal looks.
func TestLostAnswerToDoneIfShut(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		require.NoError(t, e.Shut(ctx(), l))
		e.fake.setFault(func(c *fakeCall) fakeFault {
			switch c.op {
			case "done":
				return faultLose
			case "read": // which of two that read gets an entry, nobody decides
				return faultError
			}
			return fakeFault{}
		})
		result := later(func() error { return e.DoneIfShut(ctx(), l) })
		advance(100 * time.Millisecond)
		other := h.start(nil)
		h.server.announce("s")
		for len(other.notified(api.Added)) == 0 {
			h.server.announce("s") // until one goes to the other process; the read that was on its way may get one here, which waits
			advance(100 * time.Millisecond)
			require.Zero(t, l.Remaining())
		}
		e.fake.setFault(nil)
		require.NoError(t, <-result, "nobody can have had it in between but after us")
		require.Empty(t, e.notified(api.Disowned))
		require.Positive(t, other.held("s").Remaining())
		require.ErrorIs(t, context.Cause(l.Context()), api.ErrNotHeld)
	})
}

// Trace: the lease is lost while done is asked: the answer, when there is one at last, says that it was not shut any more. That is no
// reason to bring it back.
func TestLeaseLostDuringDoneIfShutStaysLost(t *testing.T) {
	for name, lose := range map[string]func(h *harness, e *testEngine){
		"deadline": func(_ *harness, e *testEngine) { e.fake.failAll(faultError) },
		"renewal":  func(h *harness, _ *testEngine) { h.server.forgetLeases(0) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				e := h.start(nil)
				advance(time.Second)
				l := e.held("s")
				require.NoError(t, e.Shut(ctx(), l))
				h.server.unshut("s")
				e.fake.failOnly(faultError, "done")
				result := later(func() error { return e.DoneIfShut(ctx(), l) })
				advance(time.Second)
				lose(h, e)
				advance(40 * time.Second)
				e.fake.setFault(nil)
				require.ErrorIs(t, <-result, api.ErrLeaseLost)
				require.Zero(t, l.Remaining())
				require.ErrorIs(t, context.Cause(l.Context()), api.ErrLeaseLost)
				advance(time.Minute)
				require.Empty(t, e.notified(api.Disowned))
				require.Equal(t, "Added Added", e.kinds("s"), "it is handed out again")
				require.Greater(t, e.held("s").Token(), l.Token())
			})
		})
	}
}

// What ends the lease in another way meanwhile takes effect if DoneIfShut does not, and else learns that the lease has ended.
func TestOtherEndingsDuringDoneIfShut(t *testing.T) {
	for name, x := range map[string]struct {
		end     func(l *lease.Lease) error
		ended   error // what end returns if the lease was done
		undone  []int // counts if it was not
		attempt int
	}{
		"release": {func(l *lease.Lease) error { return l.Release(ctx()) }, api.ErrNotHeld, []int{0, 1, 0, 0}, 0},
		"fail":    {func(l *lease.Lease) error { return l.Fail(ctx(), errors.New("why")) }, api.ErrNotHeld, []int{0, 1, 0, 0}, 1},
		"done":    {func(l *lease.Lease) error { return l.Done(ctx()) }, nil, []int{0, 0, 0, 0}, 0},
	} {
		for _, shut := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				bubble(t, 1, func(t *testing.T, h *harness) {
					h.server.announce("s")
					e := h.start(nil)
					advance(time.Second)
					l := e.held("s")
					require.NoError(t, e.Shut(ctx(), l))
					if !shut {
						h.server.unshut("s")
					}
					e.fake.failOnly(faultError, "done")
					left := later(func() error { return e.DoneIfShut(ctx(), l) })
					ended := later(func() error { return x.end(l) })
					advance(time.Second)
					require.Zero(t, l.Remaining())
					e.fake.setFault(nil)
					if shut {
						require.NoError(t, <-left)
						require.ErrorIs(t, <-ended, x.ended)
						require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
						return
					}
					require.ErrorIs(t, <-left, api.ErrNotHeld)
					require.NoError(t, <-ended)
					advance(time.Minute)
					require.Equal(t, x.undone, h.server.counts())
					if x.undone[1] > 0 {
						require.Equal(t, x.attempt, e.held("s").Attempt())
					}
				})
			})
		}
	}
}

// A drain waits for the answer, and hands back what was not done.
func TestDrainDuringDoneIfShut(t *testing.T) {
	for _, shut := range []bool{true, false} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			r := newRecorder()
			e := h.runLayer(r)
			advance(time.Second)
			l := e.held("s")
			require.NoError(t, e.Shut(ctx(), l))
			if !shut {
				h.server.unshut("s")
			}
			e.fake.failOnly(faultError, "done")
			left := later(func() error { return e.DoneIfShut(ctx(), l) })
			down := later(func() error { return e.Shutdown(ctx()) })
			advance(time.Second)
			require.Equal(t, "added, releasing", r.of("s"), "it is held, as long as nobody knows better")
			r.finish("s", nil)
			e.fake.setFault(nil)
			require.NoError(t, <-down)
			if shut {
				require.NoError(t, <-left)
				require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
			} else {
				require.ErrorIs(t, <-left, api.ErrNotHeld)
				require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
			}
		})
	}
}

// Trace: the answer to Shut comes while the lease is being disowned: the mark would be kept for good.
func TestNoMarkIsKeptOfALeaseThatIsLostMeanwhile(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		leaving, seen := e.ownership.leaving, 0
		e.ownership.leaving = func(l *lease.Lease) {
			leaving(l)
			e.leaver.keep(l, "shut=1@x")
			seen++
		}
		h.server.forgetLeases(0)
		advance(time.Minute)
		require.Zero(t, l.Remaining())
		require.Positive(t, seen)
		require.Empty(t, e.leaver.mu.marks)
	})
}

// Shut and Reopen are retried until they are answered or there is no lease to shut.
func TestShutIsRetried(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s", "lost")
		e := h.start(nil)
		advance(time.Second)
		l, lost := e.held("s"), e.held("lost")
		e.fake.failOnly(faultLose, "shut")
		result := later(func() error { return e.Shut(ctx(), l) })
		gone := later(func() error { return e.Shut(ctx(), lost) })
		advance(3 * time.Second)
		h.server.with(0, func(p *fakePartition) { delete(p.leases, lost.Key()) })
		advance(20 * time.Second)
		require.ErrorIs(t, <-gone, api.ErrNotHeld, "renewal found that it is lost")
		e.fake.setFault(nil)
		require.NoError(t, <-result)
		require.NoError(t, e.DoneIfShut(ctx(), l))

		short, cancel := context.WithTimeout(ctx(), time.Second)
		defer cancel()
		e.fake.failOnly(faultHang, "shut")
		advance(time.Minute)
		require.ErrorIs(t, e.Shut(short, e.held("lost")), context.DeadlineExceeded)
	})
}

// A lease that is not one of an engine's cannot be left.
func TestLeavingWithAForeignLease(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine()
		for _, call := range []func(context.Context, api.Lease) error{e.Shut, e.Reopen, e.DoneIfShut} {
			require.ErrorIs(t, call(ctx(), nil), api.ErrNotHeld)
		}
	})
}
