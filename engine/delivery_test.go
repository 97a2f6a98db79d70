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
	"github.com/streamlease/streamlease/scan"
)

// What a handler of Added returns: an error or a panic fails the stream, Permanent dead-letters it, Snooze brings it back at
// its time. All but Snooze and Permanent count retries, and past the limit the announcement is dead-lettered.
func TestHandlerResults(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("fails", "panics", "never", "later", "fine")
		began := time.Now()
		e := h.start(func(_ context.Context, n api.Notification) error {
			if n.Kind != api.Added {
				return errors.New("has no effect")
			}
			switch n.Stream {
			case "fails":
				return errors.New("it broke")
			case "panics":
				panic("it fell over")
			case "never":
				return api.Permanent(errors.New("cannot be read"))
			case "later":
				if time.Since(began) < time.Minute {
					return api.Snooze(time.Minute)
				}
			}
			return nil
		}, WithRecovery(scan.Config{MaxRetries: 2}))
		advance(5 * time.Minute)

		attempts := map[string][]int{}
		for _, x := range e.notified(api.Added) {
			attempts[x.Stream] = append(attempts[x.Stream], x.Lease.Attempt())
			require.Positive(t, x.left)
		}
		require.Equal(t, []int{0, 1, 2}, attempts["fails"])
		require.Equal(t, []int{0, 1, 2}, attempts["panics"])
		require.Equal(t, []int{0}, attempts["never"])
		require.Equal(t, []int{0, 0}, attempts["later"])
		require.Equal(t, []int{0}, attempts["fine"])
		require.Equal(t, 2, e.Stats().Held)
		reasons := h.deadReasons()
		require.Len(t, reasons, 3)
		require.Contains(t, reasons["never"], "cannot be read")
		require.Contains(t, reasons["fails"], "it broke")
		require.Contains(t, reasons["panics"], "it fell over")
		require.Contains(t, e.logged(), "handler panicked")
		require.Contains(t, e.logged(), "it fell over")
		require.Empty(t, e.notified(api.Disowned), "an owner that fails the stream has ended the lease itself")
	})
}

// An error from Added changes nothing about a lease that the handler ended itself.
func TestLeaseEndedByItsHandlerStaysEnded(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Added {
				if err := n.Lease.Done(n.Lease.Context()); err != nil {
					t.Error(err)
				}
				return errors.New("too late to matter")
			}
			return nil
		})
		advance(time.Minute)
		require.Equal(t, "Added", e.kinds("s"))
		require.Equal(t, []int{0, 0, 0, 0}, h.server.counts())
	})
}

// A channel that nobody reads: renewal continues, reading stops, and Shutdown returns.
//
// Trace: the channel was closed while workers still tried to send on it.
func TestChannelThatNobodyReads(t *testing.T) {
	for _, patience := range []time.Duration{0, time.Minute} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			const n = 1000
			h.server.announce(streams(n)...)
			e := h.newEngine(WithReadBatch(50), WithWorkers(4), WithDrainTimeout(2*time.Second))
			out, err := e.Start(context.Background())
			require.NoError(t, err)
			advance(2 * time.Minute)
			held := e.Stats().Held
			require.LessOrEqual(t, held, 4*50+4, "reading stops")
			require.GreaterOrEqual(t, held, 100)
			for _, l := range e.table.All() {
				require.Positive(t, l.Remaining())
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			require.ErrorIs(t, e.Shutdown(ctx), api.ErrDrainTimeout)
			_, pending, _, _ := h.server.count()
			if patience > 0 {
				require.Zero(t, pending)
			}
			require.NotContains(t, e.logged(), "panic")
			got := 0
			for range out { // ends, since it is closed
				got++
			}
			require.LessOrEqual(t, got, 2)
		})
	}
}

// A channel that is read: every stream arrives, Releasing waits for the end of its lease, Terminated is the last, and then the
// channel closes.
func TestChannel(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		const n = 300
		h.server.announce(streams(n)...)
		e := h.newEngine()
		out, err := e.Start(context.Background())
		require.NoError(t, err)
		var mu sync.Mutex
		seen := map[api.Kind]int{}
		var last api.Notification
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			for n := range out {
				mu.Lock()
				seen[n.Kind]++
				last = n
				mu.Unlock()
				if n.Kind == api.Releasing {
					if n.Lease.Remaining() == 0 {
						t.Error("Releasing after the end")
					}
					time.AfterFunc(3*time.Second, func() { _ = n.Lease.Release(context.Background()) })
				}
			}
		}()
		advance(5 * time.Second)
		mu.Lock()
		require.Equal(t, map[api.Kind]int{api.Added: n}, seen)
		mu.Unlock()
		began := time.Now()
		require.NoError(t, e.Shutdown(context.Background()))
		<-closed
		require.Equal(t, 3*time.Second, time.Since(began).Truncate(time.Second))
		require.Equal(t, map[api.Kind]int{api.Added: n, api.Releasing: n, api.Terminated: 1}, seen)
		require.Equal(t, api.Terminated, last.Kind)
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, n, undelivered)
		require.Zero(t, pending)
	})
}

// A start that fails says so on the channel.
func TestChannelReportsWhyTheStartFailed(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine()
		e.fake.failOnly(fakeFault{skip: true, err: api.ErrFormat}, "agree")
		out, err := e.Start(context.Background())
		require.NoError(t, err)
		n := <-out
		require.Equal(t, api.Terminated, n.Kind)
		require.ErrorIs(t, n.Err, api.ErrFormat)
		_, more := <-out
		require.False(t, more)
	})
}

// A stream that was held for long and announced again moves on to its next announcement as soon as its handler has returned.
//
// Trace: the next announcement had waited for as long as the stream was held, and that counted as time for which a handler had
// been in its way. A Done inside a handler postponed it by a lease TTL.
func TestDoneInAHandlerFreesTheStreamAtOnce(t *testing.T) {
	for _, way := range []string{"run", "each"} {
		t.Run(way, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				var e *testEngine
				finish := make(chan struct{})
				var runs atomic.Int32
				if way == "run" {
					e = h.start(func(ctx context.Context, n api.Notification) error {
						if n.Kind == api.Added {
							runs.Add(1)
						}
						if n.Kind == api.Superseded {
							<-finish
							err := n.Lease.Done(ctx)
							time.Sleep(50 * time.Millisecond) // ctx has ended with the lease
							return err
						}
						return nil
					})
				} else {
					e = h.runEach(func(ctx context.Context, l api.Lease) error {
						runs.Add(1)
						select {
						case <-finish:
						case <-ctx.Done():
						}
						return nil
					})
				}
				advance(time.Second)
				h.server.announce("s")
				advance(5 * time.Minute)
				require.Equal(t, 1, e.Stats().Parked)
				first := e.held("s")
				close(finish)
				advance(100 * time.Millisecond)
				require.EqualValues(t, 2, runs.Load())
				if way == "run" {
					require.Greater(t, e.held("s").Token(), first.Token())
				}
			})
		})
	}
}
