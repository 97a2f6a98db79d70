package schedule

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func TestMiddlewareIsAroundEveryTick(t *testing.T) {
	type key struct{}
	var order []string
	var seen []error
	named := func(name string) func(TaskFunc) TaskFunc {
		return func(next TaskFunc) TaskFunc {
			return func(ctx context.Context, tick *Tick) error {
				order = append(order, name)
				err := next(context.WithValue(ctx, key{}, name), tick)
				seen = append(seen, err)
				return err
			}
		}
	}
	bubble(t, Config{Middleware: []func(TaskFunc) TaskFunc{named("first"), named("second")}}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.task = func(ctx context.Context, tick *Tick) error {
			order = append(order, "task in "+ctx.Value(key{}).(string))
			if tick.Number == 2 {
				return errTest
			}
			tick.Save([]byte("kept"))
			return nil
		}
		w.own("a")
		w.pass(2500 * time.Millisecond)
		require.Len(t, w.ticks(), 2)
		one := []string{"first", "second", "task in second"}
		require.Equal(t, append(one, one...), order)
		require.Equal(t, []error{nil, nil, errTest, errTest}, seen)
	})
}

// What a middleware returns is the outcome, and a panic in one ends a tick and nothing else.
func TestMiddlewareDecidesAndIsGuarded(t *testing.T) {
	m := func(next TaskFunc) TaskFunc {
		return func(ctx context.Context, tick *Tick) error {
			switch tick.Number {
			case 1:
				panic("for a test")
			case 2:
				return nil // the task is not called
			}
			return next(ctx, tick)
		}
	}
	bubble(t, Config{Middleware: []func(TaskFunc) TaskFunc{m}}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.own("a")
		w.pass(4500 * time.Millisecond)
		fired := w.ticks()
		require.Len(t, fired, 2)
		require.EqualValues(t, 3, fired[0].Number)
		require.EqualValues(t, 4, fired[1].Number)
	})
}

func TestMiddlewareThatCannotBe(t *testing.T) {
	keep := func(h TaskFunc) TaskFunc { return h }
	for want, all := range map[string][]func(TaskFunc) TaskFunc{
		"Middleware 2 of 2 is nil":       {keep, nil},
		"Middleware 1 of 2 returned nil": {func(TaskFunc) TaskFunc { return nil }, keep},
		"Middleware has 1001 functions":  make([]func(TaskFunc) TaskFunc, maxMiddleware+1),
	} {
		_, err := newCore(coreParts{open: func(Owned) (Task, error) { return nil, nil }, cfg: Config{Middleware: all}, partitions: 1, service: "s"})
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, want)
	}
}
