package otelstreamlease

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
)

// Batch is a middleware for feed.Config. The handler runs in a consumer span. If all messages come from one span, it is a child of that;
// otherwise it begins a trace, linked to those that messages come from, up to WithMaxLinks. It ends when the handler returns, also for a
// batch that is kept.
func (t *Tracer) Batch(next feed.Handler) feed.Handler {
	return func(ctx context.Context, b *feed.Batch) (err error) {
		from := t.origins(b.Messages)
		opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer)}
		if len(from) == 1 {
			ctx = trace.ContextWithRemoteSpanContext(ctx, from[0])
		} else {
			links := make([]trace.Link, min(len(from), t.maxLinks))
			for i := range links {
				links[i].SpanContext = from[i]
			}
			opts = append(opts, trace.WithNewRoot(), trace.WithLinks(links...))
		}
		ctx, span := t.start(ctx, "batch", opts...)
		if span.IsRecording() {
			span.SetAttributes(t.attributes("process", "batch", b.Lease.Stream(), append(leaseAttributes(b.Lease)[1:],
				attribute.Int("messaging.batch.message_count", len(b.Messages)))...)...)
		}
		returned := false
		defer func() { end(span, err, returned) }()
		err = next(ctx, b)
		returned = true
		return err
	}
}

// origins returns the spans that messages come from, each once, at most as many as there may be links and at least two of several.
func (t *Tracer) origins(messages []feed.Message) (from []trace.SpanContext) {
	most := max(t.maxLinks, 2)
	last := ""
	for i := range messages {
		if raw, ok := messages[i].Get("traceparent"); ok {
			if raw == last {
				continue // of the same span; parsing costs more than looking
			}
			last = raw
		}
		c := trace.SpanContextFromContext(t.from(context.Background(), messages[i].Get))
		if !c.IsValid() || slices.ContainsFunc(from, c.Equal) {
			continue
		}
		if from = append(from, c); len(from) == most {
			break
		}
	}
	return from
}

// Tick is a middleware for schedule.Config. Each tick is a span that begins a trace.
func (t *Tracer) Tick(next schedule.TaskFunc) schedule.TaskFunc {
	return func(ctx context.Context, tick *schedule.Tick) (err error) {
		ctx, span := t.start(ctx, "tick", trace.WithNewRoot())
		if span.IsRecording() {
			span.SetAttributes(KeySchedule.String(tick.Schedule), KeyTick.Int64(int64(tick.Number)), KeyMissed.Int(tick.Missed),
				KeyLate.Int64(tick.Late.Milliseconds()))
		}
		returned := false
		defer func() { end(span, err, returned) }()
		err = next(ctx, tick)
		returned = true
		return err
	}
}
