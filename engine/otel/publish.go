package otelstreamlease

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
)

// Publish is p.Publish in a producer span, whose context goes along in the announcement, as fields that count towards api.MaxFields. Errors
// are those of Publisher.Publish.
func (t *Tracer) Publish(ctx context.Context, p *engine.Publisher, stream string, info any, opts ...engine.PublishOption) (entry string, err error) {
	ctx, span := t.start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		span.SetAttributes(t.attributes("send", "publish", stream)...)
	}
	defer func() { t.sent(span, entry, err) }()
	return p.Publish(ctx, stream, info, append(opts[:len(opts):len(opts)], t.Fields(ctx)...)...)
}

// PublishMany is p.PublishMany in one producer span, whose context goes along as with Publish in each announcement that has none in its
// Fields. The items are not changed. Errors are those of Publisher.PublishMany.
func (t *Tracer) PublishMany(ctx context.Context, p *engine.Publisher, items ...api.Announcement) (entries []string, err error) {
	ctx, span := t.start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		span.SetAttributes(t.attributes("send", "publish", "", attribute.Int("messaging.batch.message_count", len(items)))...)
	}
	defer func() { end(span, err, true) }()
	var own writer
	t.propagator.Inject(ctx, &own)
	items = slices.Clone(items)
	for i := range items {
		items[i].Fields = slices.Concat(items[i].Fields, own) // of repeated ones the first counts
	}
	return p.PublishMany(ctx, items...)
}

// Send is s.Send in a producer span, whose context goes along in the message. Errors are those of Sender.Send.
func (t *Tracer) Send(ctx context.Context, s *feed.Sender, stream string, fields ...feed.Field) (id string, err error) {
	ctx, span := t.start(ctx, "send", trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		span.SetAttributes(t.attributes("send", "send", stream)...)
	}
	defer func() { t.sent(span, id, err) }()
	if len(fields) > 0 { // one without fields is refused
		w := writer(fields[:len(fields):len(fields)])
		t.propagator.Inject(ctx, &w)
		fields = w
	}
	return s.Send(ctx, stream, fields...)
}

// Fields returns what puts the span of ctx into an announcement, for those who make spans of their own.
func (t *Tracer) Fields(ctx context.Context) []engine.PublishOption {
	var w writer
	t.propagator.Inject(ctx, &w)
	opts := make([]engine.PublishOption, len(w))
	for i, f := range w {
		opts[i] = engine.WithField(f.Name, f.Value)
	}
	return opts
}

// sent ends the span of a producer.
func (t *Tracer) sent(span trace.Span, id string, err error) {
	if id != "" {
		span.SetAttributes(attribute.String("messaging.message.id", id))
	}
	end(span, err, true)
}

// writer is a carrier that is written.
type writer []feed.Field

func (*writer) Get(string) string        { return "" }
func (w *writer) Set(name, value string) { *w = append(*w, feed.Field{Name: name, Value: value}) }
func (*writer) Keys() []string           { return nil }
