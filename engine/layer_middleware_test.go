package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// Middleware is around the layer's Added and nothing else. A layer that has begun goes on, whatever the middleware does after that; where
// the layer knows nothing of a lease, that lease fails.
func TestMiddlewareOfALayer(t *testing.T) {
	type tricks = map[string]func(next api.Handler, ctx context.Context, n api.Notification) error
	does := tricks{
		"passes": func(next api.Handler, ctx context.Context, n api.Notification) error { return next.Handle(ctx, n) },
		"fails after": func(next api.Handler, ctx context.Context, n api.Notification) error {
			return errors.Join(next.Handle(ctx, n), api.Permanent(errors.New("too late")))
		},
		"panics after": func(next api.Handler, ctx context.Context, n api.Notification) error {
			_ = next.Handle(ctx, n)
			panic("too late")
		},
		"twice": func(next api.Handler, ctx context.Context, n api.Notification) error {
			return errors.Join(next.Handle(ctx, n), next.Handle(ctx, n))
		},
		"fails before": func(api.Handler, context.Context, api.Notification) error {
			return api.Permanent(errors.New("none of these"))
		},
		"panics before": func(api.Handler, context.Context, api.Notification) error { panic("none of these") },
		"hides": func(next api.Handler, ctx context.Context, n api.Notification) error {
			defer func() { _ = recover() }()
			return next.Handle(ctx, n)
		},
		"forgets": func(api.Handler, context.Context, api.Notification) error { return nil },
		"later": func(next api.Handler, ctx context.Context, n api.Notification) error {
			go func() {
				time.Sleep(time.Second)
				if next.Handle(ctx, n) == nil {
					panic("it was passed on after it had failed")
				}
			}()
			return nil
		},
		"another": func(next api.Handler, ctx context.Context, n api.Notification) error {
			return next.Handle(ctx, api.Notification{Kind: n.Kind, Stream: n.Stream})
		},
	}
	taken := []string{"passes", "fails after", "panics after", "twice"}
	refused := []string{"fails before", "panics before", "forgets", "later", "another", "hides"}
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(append(taken, refused...)...)
		var d diary
		r := newRecorder()
		r.onAdded = func(l api.Lease) {
			if l.Stream() == "hides" {
				panic("the layer fell over")
			}
			d.add("added " + l.Stream())
		}
		e := h.runLayer(r, WithRecovery(scan.Config{MaxRetries: 1}), WithMiddleware(func(next api.Handler) api.Handler {
			return api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
				d.add(n.Kind.String() + " in " + n.Stream)
				defer d.add(n.Kind.String() + " out " + n.Stream)
				return does[n.Stream](next, ctx, n)
			})
		}))
		advance(time.Minute)
		require.Equal(t, len(taken), e.Stats().Held)
		for _, stream := range taken {
			require.Equal(t, []string{"Added in " + stream, "added " + stream, "Added out " + stream}, d.of(stream))
			require.Equal(t, "added", r.of(stream))
		}
		for _, stream := range refused {
			require.Equal(t, stream == "hides", strings.HasPrefix(r.of(stream), "added"), stream)
		}
		require.Equal(t, []int{0, len(taken), 0, len(refused)}, h.server.counts(), "dead letters")
		reasons := h.deadReasons()
		for stream, reason := range map[string]string{
			"fails before": "none of these", "panics before": "none of these", "forgets": "did not call its handler", "hides": "hid its panic",
			"later": "did not call its handler", "another": "with the lease that it got",
		} {
			require.Contains(t, reasons[stream], reason, stream)
		}
		require.Contains(t, e.logged(), "too late")

		h.server.announce("passes") // what is not an Added goes past the middleware
		advance(time.Minute)
		require.Equal(t, "added, superseded", r.of("passes"))
		require.Len(t, d.of(" in passes"), 1)
		for _, stream := range taken {
			r.finish(stream, nil)
		}
		advance(time.Second)
		for _, stream := range taken {
			require.True(t, strings.HasPrefix(r.of(stream), "added"), stream)
			require.Greater(t, strings.Count(r.of(stream), "added"), 1, "it comes again: the first lease has ended")
		}
		r.check(t)
	})
}
