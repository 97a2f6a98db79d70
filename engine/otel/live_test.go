package otelstreamlease

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// member is a process of the service chat that owns streams.
type member struct {
	t     *testing.T
	proxy *proxy.Proxy
	mu    sync.Mutex
	got   []api.Lease
}

// join starts a process, by a proxy of its own.
func join(t *testing.T, server *servers.Server, opts ...engine.Option) *member {
	t.Helper()
	m := &member{t: t, proxy: proxy.New(t, server.Addr())}
	for _, s := range lease.Scripts() {
		m.proxy.RegisterScript(s.Name(), s.Body())
	}
	e, err := engine.Open(m.proxy.ClientOption(), "chat", append([]engine.Option{engine.WithSessionTTL(3 * time.Second),
		engine.WithLeaseTTL(6 * time.Second)}, opts...)...)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		ended <- e.Run(context.Background(), api.Funcs{Added: func(_ context.Context, n api.Notification) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.got = append(m.got, n.Lease)
			return nil
		}})
	}()
	t.Cleanup(func() { _ = e.Shutdown(context.Background()); <-ended })
	return m
}

// owns waits until the process has got n leases, and returns the last of them.
func (m *member) owns(n int) (last api.Lease) {
	m.t.Helper()
	eventually(m.t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.got) == n {
			last = m.got[n-1]
		}
		return len(m.got) == n
	})
	return last
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, time.Minute, time.Millisecond)
}

// scripts are the spans of a script that have ended; "" means of any.
func scripts(r *tracetest.SpanRecorder, name string) (some []sdk.ReadOnlySpan) {
	for _, s := range r.Ended() {
		if n, ok := strings.CutPrefix(s.Name(), "EVALSHA "); ok && (name == "" || n == name) {
			some = append(some, s)
		}
	}
	return some
}

func publisherOn(t *testing.T, server *servers.Server) *engine.Publisher {
	t.Helper()
	p, err := engine.NewPublisher(server.Client(t), "chat")
	require.NoError(t, err)
	return p
}

// Scripts have spans where that is asked for, and renewals and beats have none even there.
func TestScriptsHaveSpansOnRequest(t *testing.T) {
	server := servers.New(t)
	tracer, spans := recording()
	m := join(t, server, engine.WithScriptHook(tracer.Script))
	_, err := publisherOn(t, server).Publish(t.Context(), "user-1", nil)
	require.NoError(t, err)
	first := m.owns(1)
	renewed := m.proxy.Seen("renew") + m.proxy.Seen("extend")
	eventually(t, func() bool { return m.proxy.Seen("renew")+m.proxy.Seen("extend") > renewed+2 })
	require.NoError(t, first.Release(t.Context()))
	second := m.owns(2)

	m.proxy.Inject(proxy.Fault{Command: "done", Nth: 1, Action: proxy.ReplyError, Error: "OOM command not allowed when used on user-1"})
	require.NoError(t, second.Done(t.Context()), "it is tried again")
	eventually(t, func() bool { return len(scripts(spans, "done")) >= 2 })
	require.Len(t, scripts(spans, "acquire"), 2)
	require.NotEmpty(t, scripts(spans, "requeue"))
	for _, s := range scripts(spans, "") {
		require.False(t, slices.Contains([]string{"open", "beat", "renew", "extend", "verify"}, attributeOf(s, "db.stored_procedure.name")), s.Name())
		require.Equal(t, trace.SpanKindClient, s.SpanKind())
		require.Equal(t, "redis", attributeOf(s, "db.system.name"))
		require.Equal(t, "EVALSHA", attributeOf(s, "db.operation.name"))
		require.NotContains(t, s.Status().Description, "user-1")
		for _, a := range s.Attributes() {
			require.NotContains(t, a.Value.String(), "user-1", "neither keys nor values")
		}
	}
	done := scripts(spans, "done")
	require.Equal(t, codes.Error, done[0].Status().Code)
	require.Equal(t, "OOM", attributeOf(done[0], "db.response.status_code"))
	require.Equal(t, "OOM", attributeOf(done[0], "error.type"))
	require.Equal(t, codes.Unset, done[len(done)-1].Status().Code)
}

func TestNoScriptHasASpanUnlessAsked(t *testing.T) {
	server := servers.New(t)
	tracer, spans := recording()
	m := join(t, server, engine.WithMiddleware(tracer.Handler))
	_, err := publisherOn(t, server).Publish(t.Context(), "user-1", nil)
	require.NoError(t, err)
	require.NoError(t, m.owns(1).Done(t.Context()))
	eventually(t, func() bool { return len(spans.Ended()) == 2 })
	require.Empty(t, scripts(spans, ""))
}

func TestErrorsOfScriptsByKind(t *testing.T) {
	for want, err := range map[string]error{"timeout": context.DeadlineExceeded, "canceled": context.Canceled, "_OTHER": rueidis.ErrClosing} {
		tracer, spans := recording()
		tracer.Script(t.Context(), "read")(err)
		require.Equal(t, want, attributeOf(spans.Ended()[0], "error.type"))
		require.Equal(t, codes.Error, spans.Ended()[0].Status().Code)
	}
	require.Nil(t, New("chat", WithTracerProvider(sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())))).Script(t.Context(), "read"))
}

// Many announcements have one span, and each carries it, unless it has one of its own.
func TestManyAnnouncements(t *testing.T) {
	server := servers.New(t)
	tracer, spans := recording()
	m := join(t, server, engine.WithMiddleware(tracer.Handler))
	items := []api.Announcement{{Stream: "user-1"}, {Stream: ""}, {Stream: "user-2", Fields: []api.Field{{Name: "traceparent", Value: parentOf}}}}
	entries, err := tracer.PublishMany(t.Context(), publisherOn(t, server), items...)
	require.ErrorIs(t, err, api.ErrInvalidStream)
	require.Len(t, entries, 3)
	require.Empty(t, items[0].Fields, "those of the caller")
	m.owns(2)
	eventually(t, func() bool { return len(named(spans, "process chat")) == 2 })
	publish := named(spans, "publish chat")
	require.Len(t, publish, 1)
	require.Equal(t, "3", attributeOf(publish[0], "messaging.batch.message_count"))
	require.Equal(t, codes.Error, publish[0].Status().Code)
	want := map[string]string{"user-1": publish[0].SpanContext().TraceID().String(), "user-2": traceOf}
	for _, s := range named(spans, "process chat") {
		require.Equal(t, want[attributeOf(s, "messaging.destination.name")], s.SpanContext().TraceID().String())
	}
}

// A process that is cut off is followed by another, whose spans belong to the same announcement.
func TestParentSurvivesACrash(t *testing.T) {
	server := servers.New(t)
	before, first := recording()
	after, second := recording()
	a := join(t, server, engine.WithMiddleware(before.Handler), engine.WithDrainTimeout(engine.MinDrainTimeout))
	ctx, root := before.start(t.Context(), "request")
	_, err := before.Publish(ctx, publisherOn(t, server), "user-1", nil)
	require.NoError(t, err)
	root.End()
	crashed := a.owns(1)
	a.proxy.Cut()
	b := join(t, server, engine.WithMiddleware(after.Handler))
	require.Greater(t, b.owns(1).Token(), crashed.Token())
	eventually(t, func() bool { return len(named(first, "own chat")) == 1 && len(named(second, "process chat")) == 1 })

	publish := named(first, "publish chat")[0].SpanContext()
	for _, s := range []sdk.ReadOnlySpan{named(first, "process chat")[0], named(second, "process chat")[0]} {
		require.Equal(t, publish.SpanID(), s.Parent().SpanID())
		require.Equal(t, publish.TraceID(), s.SpanContext().TraceID())
	}
	require.Equal(t, "lost", attributeOf(named(first, "own chat")[0], "streamlease.outcome"))
}

// A message that was sent in a span is handled in the same trace, and the ownerships of a feed have spans in that of the announcement.
func TestBatchOfAFeed(t *testing.T) {
	server := servers.New(t)
	tracer, spans := recording()
	e, err := engine.Open(server.ClientOption(), "chat", engine.WithScriptHook(tracer.Script), engine.WithMiddleware(tracer.Handler))
	require.NoError(t, err)
	handled := make(chan trace.SpanContext, 1)
	f, err := feed.New(e, func(ctx context.Context, _ *feed.Batch) error {
		handled <- trace.SpanContextFromContext(ctx)
		return feed.Finish
	}, feed.Config{Middleware: []func(feed.Handler) feed.Handler{tracer.Batch}})
	require.NoError(t, err)
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(run) }()
	_, err = tracer.Publish(t.Context(), publisherOn(t, server), "user-1", nil)
	require.NoError(t, err)
	_, err = tracer.Send(t.Context(), feed.NewSender(publisherOn(t, server)), "user-1", feed.Field{Name: "text", Value: "hello"})
	require.NoError(t, err)
	in := <-handled
	eventually(t, func() bool { return len(named(spans, "batch chat")) == 1 && len(named(spans, "own chat")) >= 1 })
	stop()
	require.NoError(t, <-ended)
	publish, process, own := named(spans, "publish chat")[0], named(spans, "process chat")[0], named(spans, "own chat")[0]
	require.Equal(t, publish.SpanContext().SpanID(), process.Parent().SpanID())
	require.Equal(t, process.SpanContext().SpanID(), own.Parent().SpanID())
	require.Equal(t, "done", attributeOf(own, "streamlease.outcome"))
	send, batch := named(spans, "send chat")[0], named(spans, "batch chat")[0]
	require.Equal(t, in.SpanID(), batch.SpanContext().SpanID())
	require.Equal(t, send.SpanContext().SpanID(), batch.Parent().SpanID())
	require.Equal(t, send.SpanContext().TraceID(), batch.SpanContext().TraceID())
	require.Equal(t, "1", attributeOf(batch, "messaging.batch.message_count"))
	require.Equal(t, "user-1", attributeOf(batch, "messaging.destination.name"))
}

// Each tick is a trace, and what the schedules read of their table are scripts of the engine.
func TestTicksOfARunner(t *testing.T) {
	server := servers.New(t)
	tracer, spans := recording()
	table, err := schedule.NewTable(server.Client(t), "chat")
	require.NoError(t, err)
	_, err = table.Put(t.Context(), schedule.Spec{Name: "nightly", Every: 100 * time.Millisecond})
	require.NoError(t, err)
	e, err := engine.Open(server.ClientOption(), "chat", engine.WithScriptHook(tracer.Script), engine.WithMiddleware(tracer.Handler))
	require.NoError(t, err)
	r, err := schedule.New(e, func(schedule.Owned) (schedule.Task, error) {
		return schedule.TaskFunc(func(context.Context, *schedule.Tick) error { return nil }), nil
	}, schedule.Config{Middleware: []func(schedule.TaskFunc) schedule.TaskFunc{tracer.Tick}})
	require.NoError(t, err)
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(run) }()
	eventually(t, func() bool { return len(named(spans, "tick chat")) >= 2 })
	stop()
	require.NoError(t, <-ended)
	ticks := named(spans, "tick chat")
	require.Equal(t, "nightly", attributeOf(ticks[0], "streamlease.schedule"))
	require.False(t, ticks[0].Parent().IsValid())
	require.NotEqual(t, ticks[0].SpanContext().TraceID(), ticks[1].SpanContext().TraceID())
	require.NotEqual(t, attributeOf(ticks[0], "streamlease.tick"), attributeOf(ticks[1], "streamlease.tick"))
	require.NotEmpty(t, scripts(spans, "specs"))
	require.NotEmpty(t, named(spans, "process chat"))
	eventually(t, func() bool { return len(named(spans, "own chat")) == len(named(spans, "process chat")) })
	for _, own := range named(spans, "own chat") {
		require.Equal(t, "handed_back", attributeOf(own, "streamlease.outcome"), "what holds schedules")
	}
}
