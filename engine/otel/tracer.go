package otelstreamlease

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation.
const scope = "github.com/streamlease/streamlease/engine/otel"

// DefaultMaxLinks is how many traces a batch is linked to, unless WithMaxLinks says so.
const DefaultMaxLinks = 32

// Keys of attributes that the conventions for messaging do not have.
const (
	KeyOutcome  = attribute.Key("streamlease.outcome")  // of own: done, released, failed, handed_back, lost, closed
	KeyToken    = attribute.Key("streamlease.token")    // the fencing token
	KeyAttempt  = attribute.Key("streamlease.attempt")  // retries so far
	KeySchedule = attribute.Key("streamlease.schedule") // the name of a schedule
	KeyTick     = attribute.Key("streamlease.tick")     // the number of a tick
	KeyMissed   = attribute.Key("streamlease.missed")   // ticks that were not fired before it
	KeyLate     = attribute.Key("streamlease.late_ms")  // how late a tick began, ms
)

// Option configures a Tracer.
type Option func(*Tracer)

// WithTracerProvider sets where spans go. Default and nil: otel.GetTracerProvider() at the time of New.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(t *Tracer) {
		if p != nil {
			t.tracer = p.Tracer(scope)
		}
	}
}

// WithPropagator sets how a trace is written into fields and read from them. All members of a service should use the same. Default and
// nil: propagation.TraceContext{}, the W3C's traceparent and tracestate.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(t *Tracer) {
		if p != nil {
			t.propagator = p
		}
	}
}

// WithMaxLinks sets how many traces the span of a batch is linked to at most; its further messages count in
// messaging.batch.message_count alone. Default, zero and below: DefaultMaxLinks. The SDK has a limit of its own, 128 by default.
func WithMaxLinks(n int) Option {
	return func(t *Tracer) {
		if n > 0 {
			t.maxLinks = n
		}
	}
}

// Tracer makes the spans of one service. It is safe for concurrent use, keeps nothing and need not be closed.
type Tracer struct {
	service    string
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	maxLinks   int
	common     []attribute.KeyValue
}

// New returns a tracer for the service of that name.
func New(service string, opts ...Option) *Tracer {
	t := &Tracer{service: service, propagator: propagation.TraceContext{}, maxLinks: DefaultMaxLinks}
	for _, o := range opts {
		if o != nil {
			o(t)
		}
	}
	if t.tracer == nil {
		t.tracer = otel.GetTracerProvider().Tracer(scope)
	}
	t.common = []attribute.KeyValue{
		attribute.String("messaging.system", "streamlease"),
		attribute.String("messaging.destination.template", service),
	}
	return t
}

// attributes returns those of a span for a stream, "" for none.
func (t *Tracer) attributes(kind, operation, stream string, more ...attribute.KeyValue) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(t.common)+3+len(more))
	all = append(all, t.common...)
	all = append(all, attribute.String("messaging.operation.name", operation))
	if kind != "" {
		all = append(all, attribute.String("messaging.operation.type", kind))
	}
	if stream != "" {
		all = append(all, attribute.String("messaging.destination.name", stream))
	}
	return append(all, more...)
}

// start starts a span.
func (t *Tracer) start(ctx context.Context, operation string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, operation+" "+t.service, opts...)
}

// end ends a span with what its work returned. A panic ends it as an error, too: returned is false then, and the panic goes on.
func end(span trace.Span, err error, returned bool) {
	switch {
	case !returned:
		span.SetStatus(codes.Error, "panic")
	case err != nil:
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// from returns ctx with the span that fields carry as the remote one, and with none if they carry none that is valid: what Run was called
// in is not what a stream comes from.
func (t *Tracer) from(ctx context.Context, get func(name string) (string, bool)) context.Context {
	return t.propagator.Extract(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), reader(get))
}

// reader is a carrier that is read.
type reader func(name string) (string, bool)

func (r reader) Get(name string) string { value, _ := r(name); return value }
func (reader) Set(string, string)       {}
func (reader) Keys() []string           { return nil }
