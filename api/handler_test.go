package api_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

var (
	_ api.Handler = api.Funcs{}
	_ api.Handler = &api.Funcs{}
)

var everyKind = []api.Kind{api.Added, api.Disowned, api.Expired, api.Terminated, api.Releasing, api.Superseded, api.Signaled}

// Each function is found by its field's name, so that a swapped pair is detected.
func TestFuncsCallsTheFuncOfTheKindOnly(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "value")
	require.Equal(t, len(everyKind), reflect.TypeFor[api.Funcs]().NumField())

	for _, kind := range everyKind {
		failure := errors.New(kind.String())
		var got []api.Notification
		record := func(ctx context.Context, n api.Notification) error {
			require.Equal(t, "value", ctx.Value(key{}))
			got = append(got, n)
			return failure
		}
		var f api.Funcs
		reflect.ValueOf(&f).Elem().FieldByName(kind.String()).Set(reflect.ValueOf(record))

		for _, sent := range append(everyKind, 0, 99) {
			err := f.Handle(ctx, api.Notification{Kind: sent, Stream: "orders", Token: 3})
			if sent == kind {
				require.Same(t, failure, err)
			} else {
				require.NoError(t, err)
			}
		}
		require.Equal(t, []api.Notification{{Kind: kind, Stream: "orders", Token: 3}}, got)
	}
}

func TestHandlerFuncPassesEverythingOn(t *testing.T) {
	failure := errors.New("no")
	sent := api.Notification{Kind: 99, Stream: "orders", Token: 7, Err: api.ErrClosed}
	h := api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
		require.Equal(t, t.Context(), ctx)
		require.Equal(t, sent, n)
		return failure
	})
	require.Same(t, failure, h.Handle(t.Context(), sent))
}
