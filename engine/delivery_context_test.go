package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// contexts are the contexts that a handler got, by the kind of notification and stream.
type contexts struct {
	mu  sync.Mutex
	got map[string]context.Context
}

func (c *contexts) keep(ctx context.Context, n api.Notification) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got == nil {
		c.got = make(map[string]context.Context)
	}
	c.got[n.Kind.String()+" "+n.Stream] = ctx
}

func (c *contexts) of(kind api.Kind, stream string) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[kind.String()+" "+stream]
}

type contextValue struct{}

// Work that a handler starts with its context stops when the stream is lost, in whatever way; what cleans up after that does not.
//
// Trace: the context of a handler ended when the engine did. "go work(ctx)" compiled, and went on for streams that another process
// owned.
func TestHandlersContextEndsWithTheLease(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(h *harness, e *testEngine)
		cause error
	}{
		"lost": {func(h *harness, _ *testEngine) { h.server.forgetLeases(0); advance(11 * time.Second) }, api.ErrLeaseLost},
		"session lost": {func(h *harness, e *testEngine) {
			e.fake.failAll(faultError)
			advance(11 * time.Second)
		}, api.ErrSessionLost},
		"done":     {func(_ *harness, e *testEngine) { _ = e.held("s").Done(context.Background()) }, api.ErrNotHeld},
		"released": {func(_ *harness, e *testEngine) { _ = e.held("s").Release(context.Background()) }, api.ErrNotHeld},
		"drained":  {func(_ *harness, e *testEngine) { _, _ = e.shutdownAndWait() }, api.ErrDraining},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				var all contexts
				var stopped atomic.Int32
				e := h.newEngine()
				e.handler = func(ctx context.Context, n api.Notification) error {
					if ctx.Err() != nil && (n.Kind == api.Added || n.Kind == api.Superseded) {
						t.Errorf("the context of %s has ended before the handler was called", n.Kind)
					}
					all.keep(ctx, n)
					if n.Kind == api.Added {
						go func() { <-ctx.Done(); stopped.Add(1) }()
					}
					return nil
				}
				e.startWith(func(ctx context.Context) error { return e.Run(context.WithValue(ctx, contextValue{}, "mine"), e) })
				advance(time.Second)
				h.server.announce("s")
				advance(time.Second)
				added, superseded := all.of(api.Added, "s"), all.of(api.Superseded, "s")
				require.Equal(t, "mine", added.Value(contextValue{}))
				require.True(t, added == superseded, "that of the lease")
				require.NoError(t, added.Err())
				require.Zero(t, stopped.Load())
				c.end(h, e)
				synctest.Wait()
				require.EqualValues(t, 1, stopped.Load())
				require.ErrorIs(t, context.Cause(added), c.cause)
				if x := all.of(api.Disowned, "s"); x != nil {
					require.Equal(t, "mine", x.Value(contextValue{}))
					require.NoError(t, x.Err(), "there is something to clean up")
				}
			})
		})
	}
}

// A handler that still runs when the time for handlers is over sees its context end, as that of its lease.
func TestHandlersContextInTheDrain(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		var ctx context.Context
		var err error
		var mu sync.Mutex
		e := h.start(func(c context.Context, n api.Notification) error {
			mu.Lock()
			defer mu.Unlock()
			switch n.Kind {
			case api.Releasing:
				ctx = c
				<-c.Done()
				err = context.Cause(c)
			case api.Terminated:
				if c.Err() != nil {
					t.Error("the context of Terminated has ended")
				}
			}
			return nil
		}, WithDrainTimeout(5*time.Second))
		advance(time.Second)
		l := e.held("s")
		shutdown, _ := e.shutdownAndWait()
		require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
		require.True(t, l.Context() == ctx)
		require.ErrorIs(t, err, api.ErrDraining)
		require.ErrorIs(t, err, api.ErrDrainTimeout)
	})
}

// Handing out contexts grows no stream: nothing is made for a handler that does not wait for the end.
func TestHandlersContextIsMadeWhenAskedFor(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		var all contexts
		e := h.start(func(ctx context.Context, n api.Notification) error {
			all.keep(ctx, n)
			return ctx.Err()
		})
		advance(time.Second)
		e.held("s")
		ctx := all.of(api.Added, "s")
		require.Zero(t, testing.AllocsPerRun(10, func() { _ = e.table.Get("s").Context() }))
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		h.server.forgetLeases(0)
		advance(11 * time.Second)
		require.ErrorIs(t, context.Cause(derived), api.ErrLeaseLost)
	})
}

// withInfo is the body of an announcement of s.
func withInfo(info string) []rueidis.XRangeFieldValue {
	return []rueidis.XRangeFieldValue{{Field: lease.FieldAnnouncement, Value: `{"DataStreamName":"s","Info":` + info + `}`}}
}

// The usual loop of RunEach hears that its stream was announced again and makes way in one line; the newer announcement, with its
// own Info, comes next. Here the same process reads it, or another one does.
//
// Trace: RunEach dropped Superseded, so a function that ran until it was stopped never got an edited announcement.
func TestRunEachFunctionMakesWayForANewerAnnouncement(t *testing.T) {
	for _, other := range []bool{false, true} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.add(0, withInfo(`{"version":1}`))
			var mu sync.Mutex
			var infos []string
			loop := func(ctx context.Context, l api.Lease) error {
				mu.Lock()
				infos = append(infos, string(l.Info()))
				mu.Unlock()
				for {
					select {
					case <-l.Superseded():
						return nil
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(time.Second):
					}
				}
			}
			e := h.runEach(loop)
			advance(3 * time.Second)
			first := e.held("s").Token()
			if other {
				e.SetMaxStreams(1) // so that the other one reads what comes
				h.runEach(loop)
				advance(time.Second)
			}
			h.server.add(0, withInfo(`{"version":2}`))
			advance(time.Second)
			if other {
				advance(40 * time.Second) // a renewal reports it, and the other process asks at intervals
			}
			mu.Lock()
			require.Equal(t, []string{`{"version":1}`, `{"version":2}`}, infos)
			mu.Unlock()
			require.Equal(t, []int{0, 1, 0, 0}, h.server.counts(), "the first is done, the second owned")
			if !other {
				require.Greater(t, e.held("s").Token(), first)
			}
		})
	}
}

// Whoever does not ask goes on: its context does not end, and the newer announcement waits.
func TestRunEachFunctionMayIgnoreANewerAnnouncement(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.runEach(func(ctx context.Context, l api.Lease) error {
			<-ctx.Done()
			return ctx.Err()
		})
		advance(time.Second)
		h.server.announce("s")
		advance(time.Minute)
		l := e.held("s")
		<-l.Superseded()
		require.NoError(t, l.Context().Err())
		require.Equal(t, 1, e.Stats().Parked)
	})
}

// The context of RunEach's function is exact, though it is another one than the lease's: whoever asks after a pause of the process
// gets the answer before anything of the engine has run.
func TestContextOfRunEachIsExact(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		e := h.newEngine()
		contexts := make(chan context.Context, 1)
		e.startWith(func(ctx context.Context) error {
			return e.RunEach(ctx, func(ctx context.Context, l api.Lease) error {
				contexts <- ctx
				<-ctx.Done()
				return ctx.Err()
			})
		})
		ctx := <-contexts
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		require.NoError(t, ctx.Err())
		e.held("s").Lose(api.ErrLeaseLost) // as Remaining does when the time is over
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.ErrorIs(t, derived.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(ctx), api.ErrLeaseLost)
	})
}
