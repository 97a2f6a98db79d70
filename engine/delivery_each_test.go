package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/scan"
)

// runEach starts an engine with RunEach.
func (h *harness) runEach(f func(ctx context.Context, l api.Lease) error, opts ...Option) *testEngine {
	e := h.newEngine(opts...)
	e.startWith(func(ctx context.Context) error { return e.RunEach(ctx, f) })
	synctest.Wait()
	return e
}

// RunEach: nil is Done, an error is Fail, and a panic is Fail with its stack in the log.
func TestRunEachResults(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("done", "fails", "panics", "permanent", "snoozes")
		var mu sync.Mutex
		runs := map[string]int{}
		e := h.runEach(func(ctx context.Context, l api.Lease) error {
			mu.Lock()
			runs[l.Stream()]++
			n := runs[l.Stream()]
			mu.Unlock()
			backoff.Sleep(ctx, 3*time.Second)
			switch l.Stream() {
			case "fails":
				return errors.New("it broke")
			case "panics":
				panic("it fell over")
			case "permanent":
				return api.Permanent(errors.New("never"))
			case "snoozes":
				if n == 1 {
					return api.Snooze(time.Second)
				}
			}
			return nil
		}, WithRecovery(scan.Config{MaxRetries: 1}))
		advance(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, map[string]int{"done": 1, "fails": 2, "panics": 2, "permanent": 1, "snoozes": 2}, runs)
		require.Equal(t, []int{0, 0, 0, 3}, h.server.counts())
		require.Contains(t, e.logged(), "handler panicked")
		require.Contains(t, e.logged(), "it fell over")
		require.NotContains(t, e.logged(), "block workers", "a function of RunEach blocks no worker")
	})
}

// During a drain, the context of the function ends with ErrDraining while the lease is valid, and its return hands the stream
// back, whether it is nil or an error. A stream that the function has ended by Done is done.
func TestRunEachDrain(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 100
		h.server.announce(streams(n)...)
		var valid, finished atomic.Int32
		e := h.runEach(func(ctx context.Context, l api.Lease) error {
			<-ctx.Done()
			if errors.Is(context.Cause(ctx), api.ErrDraining) && l.Remaining() > 0 {
				valid.Add(1)
			}
			time.Sleep(2 * time.Second)
			if l.Stream() < "s00020" {
				if l.Stream() < "s00010" {
					finished.Add(1)
					_ = l.Done(ctx)
				}
				return nil
			}
			return ctx.Err()
		})
		advance(time.Second)
		require.Equal(t, n, e.Stats().Held)
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.EqualValues(t, n, valid.Load())
		require.EqualValues(t, 10, finished.Load())
		require.Equal(t, []int{n - 10, 0, 0, 0}, h.server.counts(), "no retry, no loss")
	})
}

// A function whose stream was acquired just before the drain learns of it like all others.
//
// Trace: its Releasing notification waited behind its Added one, which ends when the function returns, and it was not among
// the functions that were running when the drain looked. It ran on until the drain timeout.
func TestRunEachFunctionThatStartsAfterTheDrainIsCancelled(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		gate := make(chan struct{})
		e := h.newEngine(WithWorkers(1))
		var cause error
		way := make(chan *each, 1)
		e.startWith(func(ctx context.Context) error {
			if err := e.life.begin(); err != nil {
				return err
			}
			return e.run(ctx, func(handling context.Context) delivery {
				x := newEach(handling, func(ctx context.Context, l api.Lease) error {
					<-ctx.Done()
					cause = context.Cause(ctx)
					return ctx.Err()
				})
				way <- x
				return &gated{each: x, gate: gate}
			})
		})
		advance(time.Second)
		began := time.Now()
		ended := make(chan error)
		go func() { ended <- e.Shutdown(context.Background()) }()
		advance(time.Second)
		close(gate)
		require.NoError(t, <-ended)
		require.ErrorIs(t, cause, api.ErrDraining)
		require.Less(t, time.Since(began), 2*time.Second)
	})
}

// gated delivers once its gate is open.
type gated struct {
	*each
	gate chan struct{}
}

func (g *gated) deliver(n api.Notification, done func(error)) {
	<-g.gate
	g.each.deliver(n, done)
}

// A second ownership of a stream runs only after the first function has returned, however long that takes. The first function
// sees the loss at once.
func TestRunEachRunsOneFunctionPerStreamAtATime(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		var running, runs atomic.Int32
		causes := make(chan error, 10)
		var lost time.Time
		e := h.runEach(func(ctx context.Context, l api.Lease) error {
			if running.Add(1) != 1 {
				t.Error("two at once")
			}
			defer running.Add(-1)
			if runs.Add(1) > 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			lost = time.Now()
			time.Sleep(12 * time.Second)
			return ctx.Err()
		})
		advance(time.Second)
		h.server.forgetLeases(0)
		advance(11 * time.Second)
		require.ErrorIs(t, <-causes, api.ErrLeaseLost)
		require.EqualValues(t, 1, runs.Load())
		advance(time.Until(lost.Add(12 * time.Second)))
		require.EqualValues(t, 2, runs.Load(), "as soon as the first has returned")
		require.Equal(t, 1, e.Stats().Held)
	})
}

// Many notifications that wait behind long-running functions are no backlog: reading continues.
//
// Trace: each stream that was announced again while its function ran left a Superseded waiting. Two thousand of them stopped
// the reader, since they counted as handlers that are behind.
func TestRunEachKeepsReadingBehindLongFunctions(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 300
		e := h.runEach(func(ctx context.Context, l api.Lease) error {
			<-ctx.Done()
			return ctx.Err()
		}, WithReadBatch(50))
		h.server.announce(streams(n)...)
		advance(time.Second)
		h.server.announce(streams(n)...)
		advance(time.Second)
		require.Equal(t, n, e.Stats().Held)
		require.Equal(t, n, e.Stats().Parked)
		h.server.announce("new")
		advance(time.Second)
		e.held("new")
	})
}
