package enginetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/enginetest"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
)

// Tests are functions of package testing; an example has none.
var t *testing.T

// A process dies, and another one takes over.
func Example() {
	handler := api.Funcs{Added: func(context.Context, api.Notification) error { return nil }}
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		a := fleet.Start("a", enginetest.Handler(handler))
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)

		b := fleet.Start("b", enginetest.Handler(handler))
		a.Kill()
		fleet.OwnedBy("order:1", b)
		fleet.NothingLost()
	})
}

// A function for each stream, which ends it.
func ExampleEach() {
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		fleet.Start("a", enginetest.Each(func(ctx context.Context, l api.Lease) error {
			return l.Done(ctx)
		}))
		fleet.Publish("order:1", map[string]int{"amount": 3})
		fleet.Done("order:1")
	})
}

// Messages that are handled again after a crash, by the next owner.
func ExampleFeed() {
	handler := func(_ context.Context, b *feed.Batch) error { return nil }
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "chat")
		a := fleet.Start("a", enginetest.Feed(handler, feed.Config{}))
		fleet.Send("room:1", "text", "hello")
		a.Kill()
		fleet.Start("b", enginetest.Feed(handler, feed.Config{}))
		fleet.AllHandled()
		fleet.NothingLost()
	})
}

// A schedule that ticks every minute, also while processes come and go.
func ExampleSchedule() {
	var ticks int
	open := func(schedule.Owned) (schedule.Task, error) {
		return schedule.TaskFunc(func(context.Context, *schedule.Tick) error {
			ticks++
			return nil
		}), nil
	}
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "monitors")
		fleet.Put(schedule.Spec{Name: "front page", Every: time.Minute})
		a := fleet.Start("a", enginetest.Schedule(open, schedule.Config{}))
		fleet.Advance(time.Hour)
		if err := a.Drain(); err != nil || ticks < 59 {
			t.Errorf("%d ticks in an hour; the drain: %v", ticks, err)
		}
	})
}

// A program as it is in production: it opens its engine itself.
func ExampleFleet_Go() {
	run := func(ctx context.Context, redis rueidis.ClientOption) error {
		e, err := engine.Open(redis, "orders", engine.WithConsumerID("a"))
		if err != nil {
			return err
		}
		return e.Run(ctx, api.Funcs{})
	}
	synctest.Test(t, func(t *testing.T) {
		fleet := enginetest.New(t, "orders")
		a := fleet.Go("a", run)
		fleet.Publish("order:1", nil)
		fleet.OwnedBy("order:1", a)
	})
}
