// Package otelstreamlease traces what a service does with its streams by OpenTelemetry: an announcement, who handles it, how the
// ownership ends, batches of messages, and ticks of schedules. Its name is not that of its folder, so that it does not clash with
// go.opentelemetry.io/otel.
//
//	tracer := otelstreamlease.New("chat")
//	e, err := engine.Open(option, "chat", engine.WithMiddleware(tracer.Handler))
//	f, err := feed.New(e, handle, feed.Config{Middleware: []func(feed.Handler) feed.Handler{tracer.Batch}})
//	r, err := schedule.New(e, open, schedule.Config{Middleware: []func(schedule.TaskFunc) schedule.TaskFunc{tracer.Tick}})
//	entry, err := tracer.Publish(ctx, publisher, "user-1", info)
//
// Spans are named and described by the semantic conventions for messaging, with streamlease as the system:
//
//	publish chat   producer  around Publisher.Publish or PublishMany; its context travels in the field traceparent of each announcement
//	send chat      producer  around Sender.Send; its context travels in the field traceparent of the message
//	process chat   consumer  around the handler of Added; a child of the announcement's span, for every owner
//	own chat       internal  from Added to the end of the lease, made when that comes; a child of process, with the outcome
//	batch chat     consumer  around the handler of a batch; a child of the one trace that its messages come from, or linked to several
//	tick chat      internal  around a tick; a trace of its own
//	EVALSHA done   client    a script of the engine, with engine.WithScriptHook(tracer.Script) only; by the conventions for databases
//
// Nothing is done when a lease is renewed, whatever the number of streams. A traceparent that is malformed is ignored, as is one that
// nobody sent: the span begins a trace then.
//
// Package otelmetrics, below, hands the metrics of a Prometheus registry to OpenTelemetry.
package otelstreamlease
