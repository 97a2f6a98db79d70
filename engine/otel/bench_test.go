package otelstreamlease

import (
	"context"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
)

// BenchmarkCost is what a call of a handler costs without middleware, with a provider that does nothing, not sampled, and sampled.
func BenchmarkCost(b *testing.B) {
	l := leasetest.New("user-1", leasetest.WithField("traceparent", parentOf))
	added := api.Notification{Kind: api.Disowned, Stream: "user-1", Lease: l}
	batch := &feed.Batch{Lease: l, Messages: make([]feed.Message, 100)}
	for i := range batch.Messages {
		batch.Messages[i].Fields = []feed.Field{{Name: "text", Value: "x"}, {Name: "traceparent", Value: parentOf}}
	}
	tick, _ := schedule.NewTick(l, &schedule.Spec{Name: "nightly"}, time.Now())
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		tracer *Tracer
	}{
		{"none", nil},
		{"noop", New("chat", WithTracerProvider(noop.NewTracerProvider()))},
		{"unsampled", New("chat", WithTracerProvider(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()))))},
		{"sampled", New("chat", WithTracerProvider(sdk.NewTracerProvider()))},
	} {
		h, f, k := api.Handler(api.Funcs{}), feed.Handler(func(context.Context, *feed.Batch) error { return nil }),
			schedule.TaskFunc(func(context.Context, *schedule.Tick) error { return nil })
		if c.tracer != nil {
			h, f, k = c.tracer.Handler(h), c.tracer.Batch(f), c.tracer.Tick(k)
		}
		for what, call := range map[string]func(){
			"other": func() { _ = h.Handle(ctx, added) },
			"added": func() {
				n := api.Notification{Kind: api.Added, Stream: "user-1", Lease: leasetest.New("user-1", leasetest.WithField("traceparent", parentOf))}
				_ = h.Handle(ctx, n)
			},
			"batch": func() { _ = f(ctx, batch) },
			"tick":  func() { _ = k(ctx, tick) },
			"script": func() {
				if c.tracer == nil {
					return
				}
				if done := c.tracer.Script(ctx, "acquire"); done != nil {
					done(nil)
				}
			},
		} {
			b.Run(what+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					call()
				}
			})
		}
	}
}
