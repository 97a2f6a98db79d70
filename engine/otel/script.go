package otelstreamlease

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/streamlease/streamlease/lease"
)

// Script is a hook for engine.WithScriptHook: each script of the engine is a client span, by the conventions for Redis, without keys and
// without values. Renewals and beats have none. Nothing calls it unless the engine is given it. A script is sent for many streams at once,
// so its span is no child of theirs: it begins a trace, unless the context of Run, or of the call that sends it, carries a span.
func (t *Tracer) Script(ctx context.Context, script string) (done func(err error)) {
	_, span := t.tracer.Start(ctx, "EVALSHA "+script, trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return nil
	}
	span.SetAttributes(
		attribute.String("db.system.name", "redis"),
		attribute.String("db.operation.name", "EVALSHA"),
		attribute.String("db.stored_procedure.name", script),
		attribute.String("messaging.destination.template", t.service),
	)
	return func(err error) {
		if err != nil {
			endFailed(span, err)
		}
		span.End()
	}
}

// endFailed says what kind of error it was. The text of a server's may name keys, so only its code is kept.
func endFailed(span trace.Span, err error) {
	kind := "_OTHER"
	if code, ok := lease.Refusal(err); ok {
		kind = code
		span.SetAttributes(attribute.String("db.response.status_code", code))
	} else if errors.Is(err, context.DeadlineExceeded) {
		kind = "timeout"
	} else if errors.Is(err, context.Canceled) {
		kind = "canceled"
	}
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, kind)
}
