package otelstreamlease

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/streamlease/streamlease/api"
)

// Handler is a middleware for engine.WithMiddleware. The handler of Added runs in a consumer span, a child of the announcement's, which
// its context carries; with RunEach that is the whole function, and with a feed or schedules what they do to begin. When the lease ends, a further span says how, from Added until then: it
// is made at the end, and only if the first one is sampled, so a stream that is owned for a week keeps no span open. A process that is
// killed reports none. Other notifications have no span.
//
// The outcome is what was asked for. Whether Redis took it is what Done, Release and Fail return.
func (t *Tracer) Handler(next api.Handler) api.Handler {
	return api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
		if n.Kind != api.Added || n.Lease == nil {
			return next.Handle(ctx, n)
		}
		return t.added(ctx, next, n)
	})
}

func (t *Tracer) added(ctx context.Context, next api.Handler, n api.Notification) (err error) {
	began := time.Now()
	ctx, span := t.start(t.from(ctx, n.Lease.Field), "process", trace.WithSpanKind(trace.SpanKindConsumer))
	if span.IsRecording() {
		span.SetAttributes(t.attributes("process", "process", n.Stream, leaseAttributes(n.Lease)...)...)
		t.watch(trace.ContextWithSpanContext(context.Background(), span.SpanContext()), n.Lease, began)
	}
	returned := false
	defer func() { end(span, err, returned) }()
	err = next.Handle(ctx, n)
	returned = true
	return err
}

func leaseAttributes(l api.Lease) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.message.id", l.Entry()),
		KeyToken.String(strconv.FormatUint(uint64(l.Token()), 10)),
		KeyAttempt.Int(l.Attempt()),
	}
}

// watch makes the span of an ownership when the lease ends.
func (t *Tracer) watch(parent context.Context, l api.Lease, began time.Time) {
	ctx := l.Context()
	context.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		outcome := outcomeOf(cause)
		_, span := t.start(parent, "own", trace.WithTimestamp(began), trace.WithAttributes(
			t.attributes("settle", outcome, l.Stream(), append(leaseAttributes(l), KeyOutcome.String(outcome))...)...))
		if outcome == "lost" || outcome == "failed" || outcome == "closed" {
			span.SetStatus(codes.Error, cause.Error())
		}
		span.End()
	})
}

// outcomeOf returns how a lease ended whose context has that cause.
func outcomeOf(cause error) string {
	for _, o := range []struct {
		is   error
		name string
	}{
		{api.ErrDone, "done"}, {api.ErrReleased, "released"}, {api.ErrFailed, "failed"},
		{api.ErrReleasing, "handed_back"}, {api.ErrClosed, "closed"},
	} {
		if errors.Is(cause, o.is) {
			return o.name
		}
	}
	return "lost"
}
