package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/outbox"
	"github.com/streamlease/streamlease/scan"
)

// Trace: a hook of WithEvents that panicked ended the process: it was called on the goroutine that beats.
func TestEventHookThatPanicsEndsNothing(t *testing.T) {
	for name, fall := range map[string]func(){
		"panic":  func() { panic("the hook fell over") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, h *harness) {
				h.server.announce(streams(20)...)
				var mu sync.Mutex
				var kinds []api.EventKind
				e := h.start(nil, WithEvents(func(v api.Event) {
					mu.Lock()
					kinds = append(kinds, v.Kind)
					mu.Unlock()
					fall()
				}))
				e.heldThroughout(20, time.Minute)
				shutdown, run := e.shutdownAndWait()
				require.NoError(t, shutdown)
				require.NoError(t, run)
				require.Equal(t, []api.EventKind{api.EventSessionOpened, api.EventSessionOpened, api.EventSessionOpened, api.EventDrainStarted}, kinds)
				require.Equal(t, 4, e.hookCount("events", outbox.Panicked))
				require.Zero(t, e.hookCount("events", outbox.Delivered))
				require.Contains(t, e.logged(), "a hook of WithEvents panicked")
				require.Contains(t, e.logged(), "TestEventHookThatPanicsEndsNothing", "the stack")
			})
		})
	}
}

// Trace: a hook that did not return stopped renewal, and everything was disowned.
func TestEventHookThatBlocksStopsNoRenewal(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(streams(50)...)
		release := make(chan struct{})
		var calls atomic.Int32
		e := h.start(nil, WithEvents(func(api.Event) { calls.Add(1); <-release }))
		e.heldThroughout(50, 5*time.Minute)
		for range outbox.Limit + 10 {
			e.event(api.EventReadsPaused, 0, nil, "")
		}
		require.GreaterOrEqual(t, e.hookCount("events", outbox.Dropped), 10)
		began := time.Now()
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.LessOrEqual(t, time.Since(began), 5*time.Second, "Shutdown does not wait for it")
		close(release)
		synctest.Wait()
		require.EqualValues(t, 1, calls.Load(), "nothing comes after the end")
	})
}

// blockedLog is a log whose reader has gone away, or that cannot be written.
type blockedLog struct {
	slog.Handler
	handle func()
}

func (b *blockedLog) Handle(context.Context, slog.Record) error { b.handle(); return nil }
func (b *blockedLog) Enabled(context.Context, slog.Level) bool  { return true }
func (b *blockedLog) WithAttrs([]slog.Attr) slog.Handler        { return b }

// Trace: the goroutines that beat and renew write the log themselves, so a pipe that nobody reads stopped both.
func TestLogThatBlocksStopsNoRenewal(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.server.announce(streams(50)...)
		release := make(chan struct{})
		e := h.start(nil, WithLogger(slog.New(&blockedLog{handle: func() { <-release }})))
		e.heldThroughout(50, 5*time.Minute)
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.NotZero(t, e.hookCount("log", outbox.Dropped))
		close(release)
	})
}

func TestLogThatPanicsEndsNothing(t *testing.T) {
	for name, fall := range map[string]func(){"panic": func() { panic("the log fell over") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				h.server.announce(streams(50)...)
				e := h.start(nil, WithLogger(slog.New(&blockedLog{handle: fall})))
				e.heldThroughout(50, time.Minute)
				shutdown, run := e.shutdownAndWait()
				require.NoError(t, shutdown)
				require.NoError(t, run)
				require.NotZero(t, e.hookCount("log", outbox.Panicked))
				require.Zero(t, e.hookCount("log", outbox.Delivered))
			})
		})
	}
}

type picky struct{ slog.Handler }

func (picky) Enabled(context.Context, slog.Level) bool  { panic("Enabled") }
func (p picky) WithAttrs([]slog.Attr) slog.Handler      { return p }
func (picky) Handle(context.Context, slog.Record) error { panic("Handle") }

func TestLogThatPanicsWhenAskedEndsNothing(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(5)...)
		e := h.start(nil, WithLogger(slog.New(picky{})))
		e.heldThroughout(5, 10*time.Second)
	})
}

// Trace: the stream of a function that ended its goroutine stayed held, and renewed for nobody, forever.
func TestRunEachFunctionThatEndsItsGoroutineFails(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("exits", "fine")
		var runs atomic.Int32
		e := h.runEach(func(ctx context.Context, l api.Lease) error {
			if l.Stream() == "exits" {
				runs.Add(1)
				backoff.Sleep(ctx, time.Second)
				runtime.Goexit()
			}
			<-ctx.Done()
			return ctx.Err()
		}, WithRecovery(scan.Config{MaxRetries: 2}))
		advance(time.Minute)
		require.EqualValues(t, 3, runs.Load())
		require.Equal(t, 1, e.Stats().Held)
		require.Nil(t, e.table.Get("exits"))
		require.Equal(t, []int{0, 1, 0, 1}, h.server.counts())
		require.Contains(t, e.logged(), "runtime.Goexit called")
		require.Contains(t, e.logged(), "TestRunEachFunctionThatEndsItsGoroutineFails", "the stack")
		require.EqualValues(t, 3, e.counted("handler_panics_total"))
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
	})
}

// A function that ends its goroutine after its lease was lost, or during the drain, leaves nothing behind either.
func TestRunEachFunctionThatEndsItsGoroutineInTheDrain(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(20)...)
		e := h.runEach(func(ctx context.Context, _ api.Lease) error {
			<-ctx.Done()
			runtime.Goexit()
			return nil
		})
		advance(time.Second)
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		_, pending, later, dead := h.server.count()
		require.Equal(t, []int{0, 20, 0}, []int{pending, later, dead}, "each failed once")
	})
}

// A handler of any kind may end its goroutine, that of Terminated included.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 200
		h.server.announce(streams(n)...)
		e := h.start(func(_ context.Context, n api.Notification) error {
			if n.Kind != api.Added || n.Stream < "s00100" {
				runtime.Goexit()
			}
			return nil
		}, WithWorkers(2), WithRecovery(scan.Config{MaxRetries: scan.NoRetries}))
		advance(time.Minute)
		require.Equal(t, n/2, e.Stats().Held)
		require.Zero(t, e.Stats().Busy)
		_, _, _, dead := h.server.count()
		require.Equal(t, n/2, dead)
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.EqualValues(t, n/2+n/2+1, e.counted("handler_panics_total"), "Added, Releasing, Terminated")
		require.Len(t, e.notified(api.Terminated), 1)
	})
}

// typedNil is an error whose methods cannot be called on nil, as many a program returns by mistake.
type typedNil struct{ text string }

func (e *typedNil) Error() string { return e.text }

// trap is an error that panics when it is asked what it is.
type trap struct{}

func (trap) Error() string { return "trap" }
func (trap) Is(error) bool { panic("a method of trap") }
func (trap) As(any) bool   { panic("a method of trap") }

// Trace: an error whose methods panic ended the process. They are called where a lease is failed, and where the log is
// written.
func TestErrorWhoseMethodsPanicFailsTheStream(t *testing.T) {
	for name, bad := range map[string]error{
		"typed nil": (*typedNil)(nil), "trap": trap{}, "wrapped": fmt.Errorf("because: %w", trap{}), "joined": errors.Join(trap{}),
	} {
		t.Run(name, func(t *testing.T) {
			check := func(way func(h *harness, opt Option) *testEngine) {
				bubble(t, 1, func(t *testing.T, h *harness) {
					h.server.announce("bad")
					e := way(h, WithRecovery(scan.Config{MaxRetries: 1}))
					advance(time.Minute)
					require.Equal(t, []int{0, 0, 0, 1}, h.server.counts())
					require.Zero(t, e.Stats().Held)
					shutdown, run := e.shutdownAndWait()
					require.NoError(t, shutdown)
					require.NoError(t, run)
				})
			}
			check(func(h *harness, opt Option) *testEngine {
				return h.start(func(context.Context, api.Notification) error { return bad }, opt)
			})
			check(func(h *harness, opt Option) *testEngine {
				return h.start(func(context.Context, api.Notification) error { panic(bad) }, opt)
			})
			check(func(h *harness, opt Option) *testEngine {
				return h.start(func(_ context.Context, n api.Notification) error {
					if n.Kind == api.Added {
						go func() { _ = n.Lease.Fail(context.Background(), bad) }()
					}
					return nil
				}, opt)
			})
			check(func(h *harness, opt Option) *testEngine {
				return h.runEach(func(context.Context, api.Lease) error { return bad }, opt)
			})
		})
	}
}

type badInfo struct{}

func (badInfo) MarshalJSON() ([]byte, error) { panic("no JSON") }

// Trace: one info that could not be encoded kept all others from being announced, and the results of those that had been were
// lost.
func TestInfoWhoseEncodingPanicsIsAnError(t *testing.T) {
	_, err := encodeInfo(badInfo{})
	require.ErrorContains(t, err, "no JSON")
	require.ErrorContains(t, err, "badInfo")
	_, err = encodeInfo((*time.Time)(nil))
	require.NoError(t, err, "null")
}
