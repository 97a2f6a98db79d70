package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
)

// The order of a shutdown: reading stops, parked entries are requeued, each owner is notified with a valid lease, renewal
// continues while handlers run, what is left is requeued, sessions are closed, and no beat is sent after that.
func TestDrainOrder(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const n = 50
		h.server.announce(streams(n)...)
		h.server.announce(streams(10)...) // these are parked
		work := 8 * time.Second
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Releasing {
				backoff.Sleep(ctx, work)
			}
			return nil
		}, WithWorkers(n), WithLeaseTTL(12*time.Second), WithDrainTimeout(20*time.Second))
		advance(10 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.Equal(t, 10, e.Stats().Parked)
		e.fake.takeCalls()
		began := time.Now()
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.Equal(t, work, time.Since(began).Truncate(time.Second))

		require.Len(t, e.notified(api.Releasing), n)
		for _, x := range e.notified(api.Releasing) {
			require.Equal(t, began, x.at)
			require.Positive(t, x.left)
			require.ErrorIs(t, x.Err, api.ErrDraining)
			require.ErrorIs(t, context.Cause(x.Lease.Context()), api.ErrDraining)
		}
		require.Empty(t, e.notified(api.Disowned))
		require.Len(t, e.notified(api.Terminated), 1)

		calls := e.fake.takeCalls()
		parked, renewed, closed := 0, 0, map[int]bool{}
		for _, c := range calls {
			require.Empty(t, slices.DeleteFunc([]string{c.op}, func(op string) bool {
				return slices.Contains([]string{"requeue", "renew", "beat", "pending", "close"}, op)
			}), "nothing is read, acquired or done")
			require.False(t, closed[c.partition], "%s after the session was closed", c.op)
			switch {
			case c.op == "requeue" && c.at.Before(began.Add(work/2)):
				parked += c.n
			case c.op == "requeue":
				require.False(t, c.at.Before(began.Add(work)))
			case c.op == "renew":
				renewed += c.n
			case c.op == "close":
				closed[c.partition] = true
			}
		}
		require.Equal(t, 10, parked, "parked entries are requeued first")
		require.GreaterOrEqual(t, renewed, n, "renewal continues")
		require.Len(t, closed, 2)
		require.Equal(t, []int{n + 10, 0, 0, 0}, h.server.counts())
		for p := range 2 {
			h.server.with(p, func(p *fakePartition) {
				require.Empty(t, p.leases)
				require.Empty(t, p.sessions)
				require.Empty(t, p.consumers)
			})
		}
		require.NotContains(t, e.events(), api.EventSessionLost)
		require.ErrorIs(t, e.Run(context.Background(), e), api.ErrClosed)
	})
}

// A closed session gets no more beats: a beat would recreate it, and others would find it dead later. It does not count as
// lost either.
//
// Trace: renewal continued after the sessions were closed, until everything else had been dismantled. A handler of Terminated
// that took its time, or a second partition that was slow to hand back, was enough for a beat to fall into that time.
func TestClosedSessionGetsNoMoreBeats(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(h.streamIn(0, 0), h.streamIn(1, 0))
		e := h.start(func(_ context.Context, n api.Notification) error {
			if n.Kind == api.Terminated {
				time.Sleep(3 * time.Second)
			}
			return nil
		})
		advance(5 * time.Second)
		slow := fakeFault{before: 900 * time.Millisecond, skip: true, err: errCut}
		e.fake.failWhen(slow, func(c *fakeCall) bool { return c.op == "close" && c.partition == 1 })
		go func() {
			time.Sleep(2500 * time.Millisecond)
			e.fake.setFault(nil)
		}()
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		for p := range 2 {
			h.server.with(p, func(p *fakePartition) { require.Empty(t, p.sessions) })
		}
		require.NotContains(t, e.events(), api.EventSessionLost)
	})
}

// Handlers that do not return are waited for until the time for handlers is over; then their streams are handed back all the same.
func TestDrainTimeout(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		ended := make(chan error, 20)
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Releasing {
				<-ctx.Done()
				ended <- context.Cause(ctx)
			}
			return nil
		}, WithDrainTimeout(7*time.Second))
		advance(time.Second)
		began := time.Now()
		shutdown, run := e.shutdownAndWait()
		require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
		require.ErrorIs(t, run, api.ErrDrainTimeout)
		require.Equal(t, 7*time.Second-1750*time.Millisecond-350*time.Millisecond, time.Since(began).Round(10*time.Millisecond),
			"a quarter for handing back, and a 20th for the end")
		require.ErrorIs(t, <-ended, api.ErrDrainTimeout, "the context of handlers ends")
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, 20, undelivered)
		require.Zero(t, pending)
		require.Empty(t, e.notified(api.Disowned), "handed back after Releasing")
	})
}

// With Redis gone, Shutdown returns within its context, and reports that nothing confirms that everything was handed back.
func TestShutdownWithRedisGone(t *testing.T) {
	for _, c := range []struct {
		name string
		gone time.Duration // before Shutdown
	}{{"just now", 0}, {"for longer than the session", 30 * time.Second}} {
		for _, fault := range []fakeFault{faultHang, faultError} {
			t.Run(fmt.Sprintf("%s, hangs %v", c.name, fault.hang), func(t *testing.T) {
				bubble(t, 2, func(t *testing.T, h *harness) {
					h.server.announce(streams(20)...)
					e := h.start(nil)
					advance(5 * time.Second)
					e.fake.failAll(fault)
					advance(c.gone)
					ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
					defer cancel()
					began := time.Now()
					err := e.Shutdown(ctx)
					require.LessOrEqual(t, time.Since(began), 2*time.Second+10*time.Millisecond)
					require.ErrorIs(t, err, api.ErrDrainTimeout)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					<-e.ended
					require.ErrorIs(t, e.err, api.ErrDrainTimeout)
					require.ErrorContains(t, e.err, "Redis has not confirmed that everything was handed back")
					for _, x := range e.notified(api.Added) {
						require.Zero(t, x.Lease.Remaining())
						require.Error(t, x.Lease.Context().Err())
					}
					_, pending, _, _ := h.server.count()
					require.Equal(t, 20, pending, "others recover them")
				})
			})
		}
	}
}

// The same without a deadline: the drain gives up by itself.
//
// Trace: a session that had been lost before the drain was not there to be handed back, so the drain considered it done and
// returned nil.
func TestDrainWithRedisGoneEnds(t *testing.T) {
	for _, gone := range []time.Duration{0, 30 * time.Second} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce(streams(20)...)
			e := h.start(nil, WithDrainTimeout(3*time.Second))
			advance(5 * time.Second)
			e.fake.failAll(faultError)
			advance(gone)
			began := time.Now()
			shutdown, run := e.shutdownAndWait()
			require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
			require.ErrorIs(t, run, api.ErrDrainTimeout)
			require.ErrorContains(t, run, errCut.Error())
			require.LessOrEqual(t, time.Since(began), 3*time.Second)
		})
	}
}

// Entries that were pending for a lost session are requeued during the drain too, once Redis is back.
func TestDrainRequeuesTheEntriesOfLostSessions(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(600)...)
		e := h.start(nil)
		advance(5 * time.Second)
		e.fake.failAll(faultError)
		advance(30 * time.Second)
		require.Zero(t, e.Stats().Held)
		go func() {
			time.Sleep(time.Second)
			e.fake.setFault(nil)
		}()
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, 600, undelivered)
		require.Zero(t, pending)
		h.server.with(0, func(p *fakePartition) { require.Empty(t, p.sessions, "and no session is opened while draining") })
	})
}

// Streams that are acquired while the drain begins are handed back like all others.
func TestDrainWhileAcquiring(t *testing.T) {
	for delay := time.Duration(0); delay < 60*time.Millisecond; delay += 5 * time.Millisecond {
		bubble(t, 2, func(t *testing.T, h *harness) {
			e := h.start(nil)
			e.fake.failAll(fakeFault{before: 10 * time.Millisecond, after: 10 * time.Millisecond})
			h.server.announce(streams(700)...)
			h.server.announce(streams(700)...)
			advance(delay)
			shutdown, run := e.shutdownAndWait()
			require.NoError(t, shutdown)
			require.NoError(t, run)
			require.Equal(t, []int{1400, 0, 0, 0}, h.server.counts(), "after %v", delay)
			for p := range 2 {
				h.server.with(p, func(p *fakePartition) { require.Empty(t, p.leases) })
			}
			require.Len(t, e.notified(api.Releasing), len(e.notified(api.Added)))
			require.Empty(t, e.notified(api.Disowned))
		})
	}
}

// Another engine takes over what a drain hands back, at once and without counting a retry.
func TestHandOverToAnotherEngine(t *testing.T) {
	bubble(t, 4, func(t *testing.T, h *harness) {
		const n = 2000
		h.server.announce(streams(n)...)
		a := h.start(nil)
		b := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, n, a.Stats().Held+b.Stats().Held)
		shutdown, _ := a.shutdownAndWait()
		require.NoError(t, shutdown)
		advance(time.Second)
		require.Equal(t, n, b.Stats().Held)
		for _, x := range b.notified(api.Added) {
			require.Zero(t, x.Lease.Attempt())
		}
	})
}

// A handler of Terminated that panics does not end the program, and one that hangs does not block Run forever.
func TestTerminatedHandler(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(func(_ context.Context, n api.Notification) error {
			if n.Kind == api.Terminated {
				panic("at the end")
			}
			return nil
		})
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.Contains(t, e.logged(), "at the end")
	})
	bubble(t, 1, func(t *testing.T, h *harness) {
		release := make(chan struct{})
		defer func() {
			close(release)
			synctest.Wait()
		}()
		e := h.start(func(_ context.Context, n api.Notification) error {
			if n.Kind == api.Terminated {
				<-release
			}
			return nil
		}, WithDrainTimeout(time.Second))
		advance(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_ = e.Shutdown(ctx)
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
		<-e.ended
	})
	bubble(t, 1, func(t *testing.T, h *harness) {
		var err error
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Terminated {
				err = ctx.Err()
			}
			return nil
		})
		_, _ = e.shutdownAndWait()
		require.NoError(t, err, "after a clean drain the context of Terminated is alive")
	})
}
