package enginetest

import (
	"context"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
)

// Program is what a process does with its engine: it runs it until ctx ends. One that is not of this package may run the engine in
// any way; calls of its handlers are not held back while the process is paused.
type Program func(ctx context.Context, e *engine.Engine) error

// Handler is a program that calls h with each notification: Engine.Run.
func Handler(h api.Handler) Program {
	return func(ctx context.Context, e *engine.Engine) error {
		alive := gateOf(ctx)
		return e.Run(ctx, api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
			if err := alive.pass(); err != nil {
				return err
			}
			return h.Handle(ctx, n)
		}))
	}
}

// Each is a program that calls f for each stream, as long as it is owned: Engine.RunEach.
func Each(f func(context.Context, api.Lease) error) Program {
	return func(ctx context.Context, e *engine.Engine) error {
		alive := gateOf(ctx)
		return e.RunEach(ctx, func(ctx context.Context, l api.Lease) error {
			if err := alive.pass(); err != nil {
				return err
			}
			return f(ctx, l)
		})
	}
}

// Feed is a program that reads the messages of the streams that it owns: feed.New. The server in memory tells nobody of new messages
// (it has no CLIENT TRACKING), so the feed polls, every Config.PollEvery.
func Feed(h feed.Handler, c feed.Config) Program {
	return func(ctx context.Context, e *engine.Engine) error {
		alive := gateOf(ctx)
		gated := c
		if gated.Mode == feed.Auto {
			gated.Mode = feed.Polling
		}
		gated.Middleware = append([]func(feed.Handler) feed.Handler{func(next feed.Handler) feed.Handler {
			return func(ctx context.Context, b *feed.Batch) error {
				if err := alive.pass(); err != nil {
					return err
				}
				return next(ctx, b)
			}
		}}, c.Middleware...)
		f, err := feed.New(e, h, gated)
		if err != nil {
			return err
		}
		return f.Run(ctx)
	}
}

// Schedule is a program that fires the ticks of the schedules that it owns: schedule.New.
func Schedule(open func(schedule.Owned) (schedule.Task, error), c schedule.Config) Program {
	return func(ctx context.Context, e *engine.Engine) error {
		alive := gateOf(ctx)
		gated := c
		gated.Middleware = append([]func(schedule.TaskFunc) schedule.TaskFunc{func(next schedule.TaskFunc) schedule.TaskFunc {
			return func(ctx context.Context, t *schedule.Tick) error {
				if err := alive.pass(); err != nil {
					return err
				}
				return next(ctx, t)
			}
		}}, c.Middleware...)
		r, err := schedule.New(e, func(o schedule.Owned) (schedule.Task, error) {
			if err := alive.pass(); err != nil {
				return nil, err
			}
			return open(o)
		}, gated)
		if err != nil {
			return err
		}
		return r.Run(ctx)
	}
}
