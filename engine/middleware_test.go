package engine

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// diary is what several middlewares did, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// of are the lines that contain part.
func (d *diary) of(part string) (some []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.lines {
		if strings.Contains(line, part) {
			some = append(some, line)
		}
	}
	return some
}

// named is a middleware that writes into a diary when a notification comes and goes.
func (d *diary) named(name string) func(api.Handler) api.Handler {
	return func(next api.Handler) api.Handler {
		return api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
			d.add(name + " in " + n.Kind.String())
			err := next.Handle(ctx, n)
			d.add(name + " out " + n.Kind.String())
			return err
		})
	}
}

func TestFirstMiddlewareIsOutermostAndAllGetEveryNotification(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("a")
		var d diary
		e := h.start(nil, WithMiddleware(d.named("first"), d.named("second")))
		advance(time.Second)
		h.server.announce("a")
		advance(5 * time.Minute)
		require.Equal(t, []string{"first in Added", "second in Added", "second out Added", "first out Added"}, d.of("Added"))
		require.Len(t, d.of("Superseded"), 4)
		_, run := e.shutdownAndWait()
		require.NoError(t, run)
		require.Len(t, d.of("Releasing"), 4)
		require.Equal(t, []string{"first in Terminated", "second in Terminated", "second out Terminated", "first out Terminated"}, d.of("Terminated"))
		require.Len(t, d.of(""), 16, "nothing comes of renewals: %v", d.of(""))
	})
}

// A middleware sees the error of the handler and the context of the lease, and what it returns counts.
func TestMiddlewareChangesContextAndError(t *testing.T) {
	type key struct{}
	errHandler := errors.New("of the handler")
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("a", "b")
		var mu sync.Mutex
		var ended, seen []error
		m := func(next api.Handler) api.Handler {
			return api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
				if n.Kind != api.Added {
					return next.Handle(ctx, n)
				}
				context.AfterFunc(ctx, func() {
					mu.Lock()
					defer mu.Unlock()
					ended = append(ended, context.Cause(ctx))
				})
				err := next.Handle(context.WithValue(ctx, key{}, n.Stream), n)
				mu.Lock()
				seen = append(seen, err)
				mu.Unlock()
				if n.Stream == "a" {
					return api.Permanent(err)
				}
				return nil
			})
		}
		h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Added && ctx.Value(key{}) == n.Stream {
				return errHandler
			}
			return nil
		}, WithMiddleware(m))
		advance(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []error{errHandler, errHandler}, seen)
		require.Equal(t, []int{0, 1, 0, 1}, h.server.counts(), "a is a dead letter, and b is held")
		require.Len(t, ended, 1)
		require.ErrorIs(t, ended[0], api.ErrNotHeld)
	})
}

func TestPanicsInMiddlewareAreGuarded(t *testing.T) {
	for name, fall := range map[string]func(){"panic": func() { panic("the middleware fell over") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("a", "b")
				e := h.start(nil, WithRecovery(scan.Config{MaxRetries: 1}), WithMiddleware(func(next api.Handler) api.Handler {
					return api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
						if n.Stream == "a" {
							fall()
						}
						return next.Handle(ctx, n)
					})
				}))
				advance(2 * time.Minute)
				require.Equal(t, 1, e.Stats().Held, "b")
				require.Equal(t, []int{0, 1, 0, 1}, h.server.counts(), "a is a dead letter")
				require.Contains(t, e.logged(), "handler panicked")
				require.Empty(t, e.notified(api.Disowned))
			})
		})
	}
}

// Around the function of RunEach there is one call, that of Added, which lasts as long as the function does.
func TestMiddlewareOfRunEach(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("done", "replaced")
		var d diary
		replace := func(next api.Handler) api.Handler {
			return api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
				err := next.Handle(ctx, n)
				if n.Stream == "replaced" {
					return api.Permanent(errors.New("replaced"))
				}
				return err
			})
		}
		h.runEach(func(ctx context.Context, l api.Lease) error {
			time.Sleep(time.Minute)
			d.add("ran Added")
			return nil
		}, WithMiddleware(d.named("m"), replace))
		advance(30 * time.Second)
		require.Equal(t, []string{"m in Added", "m in Added"}, d.of(""))
		advance(time.Minute)
		require.Equal(t, []string{"m out Added", "m out Added"}, d.of("out"))
		require.Len(t, d.of(""), 6, "nothing else")
		require.Equal(t, []int{0, 0, 0, 1}, h.server.counts())
	})
}

func TestMiddlewareThatCannotBe(t *testing.T) {
	keep := func(h api.Handler) api.Handler { return h }
	_, _, err := resolve("svc", []Option{WithMiddleware(keep, nil)})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "WithMiddleware: 2 of 2 is nil")

	many := make([]func(api.Handler) api.Handler, maxMiddleware+1)
	for i := range many {
		many[i] = keep
	}
	_, _, err = resolve("svc", []Option{WithMiddleware(many...)})
	require.ErrorContains(t, err, "WithMiddleware: 1001 are above 1000")
	_, _, err = resolve("svc", []Option{WithMiddleware(many[1:]...)})
	require.NoError(t, err)

	ctx := context.Background()
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine(WithMiddleware(keep, func(api.Handler) api.Handler { return nil }))
		err := e.Run(ctx, api.Funcs{})
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, "WithMiddleware: 2 of 2 returned nil")
		require.ErrorContains(t, e.RunEach(ctx, func(context.Context, api.Lease) error { return nil }), "returned nil")
		require.ErrorContains(t, e.RunLayer(ctx, newRecorder()), "returned nil")
	})
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine(WithMiddleware(keep))
		_, err := e.Start(ctx)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, "Start has no handler")
	})
}
