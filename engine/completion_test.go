package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// Each way to end a lease does on the server what it promises, and later calls report that the lease has ended.
func TestEndings(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(l api.Lease, ctx context.Context) error
		after []int // undelivered, pending, later, dead
	}{
		{"done", func(l api.Lease, ctx context.Context) error { return l.Done(ctx) }, []int{0, 0, 0, 0}},
		{"release", func(l api.Lease, ctx context.Context) error { return l.Release(ctx) }, []int{1, 0, 0, 0}},
		{"fail", func(l api.Lease, ctx context.Context) error { return l.Fail(ctx, errors.New("x")) }, []int{0, 0, 1, 0}},
		{"permanent", func(l api.Lease, ctx context.Context) error { return l.Fail(ctx, api.Permanent(errors.New("x"))) }, []int{0, 0, 0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				e := h.start(nil)
				advance(time.Second)
				e.SetMaxStreams(1)
				e.fake.failOnly(fakeFault{skip: true, err: errCut}, "read") // what is requeued stays where it is
				advance(e.cfg.block)
				l := e.held("s")
				ctx := l.Context()
				require.NoError(t, c.end(l, ctx), "the lease's own context may bound the wait")
				require.Zero(t, l.Remaining())
				require.ErrorIs(t, context.Cause(ctx), api.ErrNotHeld)
				require.Nil(t, h.server.leaseOf("s"))
				undelivered, pending, later, dead := h.server.count()
				require.Equal(t, c.after, []int{undelivered, pending, later, dead})

				require.NoError(t, c.end(l, context.Background()), "a second call after success")
				other := l.Release
				if c.name == "release" {
					other = l.Done
				}
				require.ErrorIs(t, other(context.Background()), api.ErrNotHeld)
				require.ErrorIs(t, e.DoneStream(context.Background(), "s"), api.ErrNotHeld)
				advance(time.Minute)
				require.Equal(t, "Added", e.kinds("s"), "a lease that its owner ended is not disowned")
			})
		})
	}
}

// After a loss, endings report that the lease was lost, and send nothing.
func TestEndingsAfterALoss(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		e.fake.failAll(faultError)
		advance(30 * time.Second)
		e.fake.takeCalls()
		for _, err := range []error{l.Done(context.Background()), l.Release(context.Background()), l.Fail(context.Background(), nil)} {
			require.ErrorIs(t, err, api.ErrNotHeld)
			require.ErrorIs(t, err, api.ErrLeaseLost)
		}
		require.Zero(t, countCalls(e.fake.takeCalls(), "done"))
	})
}

// Rule 18: an ending whose answer was lost is retried. If nothing is pending then, that is its own success, provided that both
// local deadlines held throughout; otherwise the outcome is unknown, and reported as such.
func TestEndingWithALostAnswerIsRetried(t *testing.T) {
	for _, op := range []string{"done", "requeue"} {
		for _, gone := range []time.Duration{3 * time.Second, time.Minute} {
			t.Run(op+" "+gone.String(), func(t *testing.T) {
				bubble(t, 1, func(t *testing.T, h *harness) {
					h.server.announce("s")
					e := h.start(nil)
					advance(time.Second)
					l := e.held("s")
					var cut atomic.Bool
					cut.Store(true)
					e.fake.setFault(func(c *fakeCall) fakeFault {
						switch {
						case !cut.Load():
							return fakeFault{}
						case c.op == op:
							return faultLose
						}
						return faultError
					})
					result := make(chan error, 1)
					go func() {
						if op == "done" {
							result <- l.Done(context.Background())
						} else {
							result <- l.Release(context.Background())
						}
					}()
					advance(gone)
					require.Zero(t, l.Remaining(), "the lease is over for its owner before anything is sent")
					require.Empty(t, result)
					cut.Store(false)
					err := <-result
					if gone < e.cfg.sessionTTL {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, api.ErrOutcomeUnknown)
						require.ErrorIs(t, err, api.ErrLeaseLost)
					}
					require.Empty(t, e.notified(api.Disowned))
				})
			})
		}
	}
}

// A refused ending is retried until it succeeds, and the lease is renewed meanwhile, so that nobody gets the stream in
// between.
func TestRefusedEndingsAreRetriedAndTheLeaseIsKept(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		e.fake.failOnly(faultOOM, "done")
		result := make(chan error, 1)
		go func() { result <- l.Done(context.Background()) }()
		advance(3 * e.cfg.leaseTTL)
		require.Empty(t, result)
		require.NotNil(t, h.server.leaseOf("s"))
		require.LessOrEqual(t, mostPerSecond(e.fake.takeCalls(), "done"), 8)
		e.fake.setFault(nil)
		require.NoError(t, <-result)
		require.Nil(t, h.server.leaseOf("s"))
		require.Equal(t, "Added", e.kinds("s"))
	})
}

// The context given to Done bounds only the wait: the ending goes on, and a second call reports its result.
func TestContextOfDoneBoundsOnlyTheWait(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(nil)
		advance(time.Second)
		l := e.held("s")
		e.fake.failOnly(faultHang, "done")
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, l.Done(ctx), context.DeadlineExceeded)
		derived, cancel := context.WithTimeout(l.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, l.Done(derived), context.DeadlineExceeded, "a context derived from that of the lease keeps its deadline")
		require.Equal(t, 3*time.Second, time.Since(began))
		e.fake.setFault(nil)
		require.NoError(t, l.Done(context.Background()))
		require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
	})
}

// Of endings that race, one counts, and the others report that the lease has ended.
func TestOnlyOneOfRacingEndingsCounts(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 200
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(time.Second)
		for i, s := range streams(n) {
			l := e.held(s)
			results := make([]error, 9)
			var group sync.WaitGroup
			for j := range results {
				group.Go(func() {
					switch (i + j) % 3 {
					case 0:
						results[j] = l.Done(context.Background())
					case 1:
						results[j] = l.Fail(context.Background(), errors.New("x"))
					case 2:
						results[j] = l.Fail(context.Background(), nil)
					}
				})
			}
			group.Wait()
			kind := l.Ending().Kind
			for j, err := range results {
				if done := (i+j)%3 == 0; done == (kind == lease.EndDone) {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, api.ErrNotHeld)
				}
			}
		}
		require.Empty(t, e.notified(api.Disowned))
	})
}

// 10,000 calls of Done from 16 goroutines, each one after the other, need at most a tenth of that many scripts.
func TestDoneIsBatched(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 10_000
		h.server.announce(streams(n)...)
		e := h.start(nil)
		advance(5 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		e.fake.failAll(fakeFault{before: 200 * time.Microsecond})
		e.fake.takeCalls()
		work := make(chan api.Lease, n)
		for l := range e.Leases() {
			work <- l
		}
		close(work)
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				for l := range work {
					if err := l.Done(context.Background()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		require.LessOrEqual(t, countCalls(e.fake.takeCalls(), "done"), n/10)
		undelivered, pending, _, _ := h.server.count()
		require.Zero(t, undelivered+pending)
	})
}

// With Redis down and 10,000 endings outstanding, nothing spins: calls per second stay few, and all endings are carried out
// when Redis is back.
func TestNothingSpinsWhileRedisIsDown(t *testing.T) {
	for name, fault := range map[string]fakeFault{"errors": faultError, "refusals": faultOOM, "hangs": faultHang} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n, waiting = 3000, 200
				h.server.announce(streams(n)...)
				h.server.announce(streams(n)[:waiting]...) // parked
				e := h.start(nil)
				advance(5 * time.Second)
				require.Equal(t, n, e.Stats().Held)
				e.fake.failAll(fault)
				var failed atomic.Int32
				var group sync.WaitGroup
				for l := range e.Leases() {
					group.Go(func() {
						if err := l.Done(context.Background()); err != nil {
							failed.Add(1)
						}
					})
				}
				advance(10 * time.Millisecond)
				e.fake.takeCalls()
				advance(5 * time.Second) // while the session lives
				calls := e.fake.takeCalls()
				// The beat is 1 s, so retries come after 250 ms, growing to a second, each with jitter down to half of that.
				for _, op := range []string{"done", "renew", "beat", "read", "acquire"} {
					require.LessOrEqual(t, mostPerSecond(calls, op), 10, op)
				}
				require.LessOrEqual(t, mostPerSecond(calls, "done", "requeue", "pending", "renew", "beat", "open", "read", "acquire", "promote", "dead", "turn"), 25)
				advance(time.Minute)
				calls = e.fake.takeCalls()
				require.LessOrEqual(t, mostPerSecond(calls, "done", "requeue", "pending", "renew", "beat", "open", "read", "acquire", "promote", "dead", "turn"), 25)
				e.fake.setFault(nil)
				advance(time.Minute)
				group.Wait()
				undelivered, pending, later, _ := h.server.count()
				require.Zero(t, undelivered+later)
				require.Equal(t, e.Stats().Held+e.Stats().Parked, pending, "this process knows everything that is pending")
				// Nobody else was there to take the streams over, and endings go before the retirement of lost sessions.
				require.Zero(t, failed.Load())
				require.Equal(t, waiting, pending, "the parked announcements")
			})
		})
	}
}
