package otelstreamlease_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	otelstreamlease "github.com/streamlease/streamlease/engine/otel"
)

// A handler that is traced, as engine.WithMiddleware(tracer.Handler) has it called. The lease is one for tests; its producer has sent along
// where the trace began.
func Example() {
	spans := tracetest.NewSpanRecorder()
	tracer := otelstreamlease.New("chat", otelstreamlease.WithTracerProvider(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))))
	handler := tracer.Handler(api.Funcs{})

	l := leasetest.New("user-1", leasetest.WithField("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	if err := leasetest.Notify(context.Background(), handler, api.Added, l); err != nil {
		panic(err)
	}
	for _, s := range spans.Ended() {
		fmt.Println(s.Name(), s.SpanContext().TraceID(), s.Parent().SpanID())
	}
	// Output: process chat 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331
}
