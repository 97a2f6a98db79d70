package engine

import (
	"context"

	"github.com/streamlease/streamlease/api"
)

// wrapped returns a handler with the middleware around it.
func (c *config) wrapped(h api.Handler) (api.Handler, error) {
	for i := len(c.middleware) - 1; i >= 0; i-- {
		if h = c.middleware[i](h); h == nil {
			return nil, invalid("WithMiddleware: %d of %d returned nil; return a handler", i+1, len(c.middleware))
		}
	}
	return h, nil
}

// wrappedEach returns the function of RunEach with the middleware around it.
func (c *config) wrappedEach(f func(context.Context, api.Lease) error) (func(context.Context, api.Lease) error, error) {
	if len(c.middleware) == 0 {
		return f, nil
	}
	h, err := c.wrapped(api.HandlerFunc(func(ctx context.Context, n api.Notification) error { return f(ctx, n.Lease) }))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, l api.Lease) error {
		return h.Handle(ctx, api.Notification{Kind: api.Added, Stream: l.Stream(), Token: l.Token(), Lease: l})
	}, nil
}
