package otelstreamlease

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	parentOf  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	traceOf   = "0af7651916cd43dd8448eb211c80319c"
)

func recording(opts ...Option) (*Tracer, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))
	return New("chat", append([]Option{WithTracerProvider(provider)}, opts...)...), recorder
}

// named are the spans of a name that have ended.
func named(r *tracetest.SpanRecorder, name string) (some []sdk.ReadOnlySpan) {
	for _, s := range r.Ended() {
		if s.Name() == name {
			some = append(some, s)
		}
	}
	return some
}

func attributeOf(s sdk.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

func TestEveryEndingHasItsOutcome(t *testing.T) {
	for want, end := range map[string]func(l *leasetest.Lease){
		"done":        func(l *leasetest.Lease) { _ = l.Done(context.Background()) },
		"released":    func(l *leasetest.Lease) { _ = l.Release(context.Background()) },
		"failed":      func(l *leasetest.Lease) { _ = l.Fail(context.Background(), errors.New("no")) },
		"handed_back": func(l *leasetest.Lease) { l.HandBack() },
		"lost":        func(l *leasetest.Lease) { l.Expire() },
		"closed":      func(l *leasetest.Lease) { l.Lose(api.ErrClosed) },
	} {
		t.Run(want, func(t *testing.T) {
			tracer, spans := recording()
			l := leasetest.New("user-1", leasetest.WithField("traceparent", parentOf), leasetest.WithToken(7))
			h := tracer.Handler(api.HandlerFunc(func(ctx context.Context, _ api.Notification) error {
				require.Equal(t, traceOf, trace.SpanContextFromContext(ctx).TraceID().String())
				return nil
			}))
			require.NoError(t, leasetest.Notify(context.Background(), h, api.Added, l))
			require.Len(t, spans.Ended(), 1)
			end(l)
			require.Eventually(t, func() bool { return len(spans.Ended()) == 2 }, time.Minute, time.Millisecond)
			process, own := named(spans, "process chat")[0], named(spans, "own chat")[0]
			require.Equal(t, "b7ad6b7169203331", process.Parent().SpanID().String())
			require.Equal(t, process.SpanContext().SpanID(), own.Parent().SpanID())
			require.Equal(t, want, attributeOf(own, "streamlease.outcome"))
			require.Equal(t, "7", attributeOf(own, "streamlease.token"))
			require.False(t, own.StartTime().After(process.EndTime()), "it begins with the ownership")
		})
	}
}

// What a hostile producer writes costs the trace, and nothing else; what is not sampled reports nothing.
func TestTraceparentThatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		field string
		spans int
	}{
		"none": {"", 1}, "short": {"00-0af7", 1}, "zeros": {"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", 1},
		"bytes": {"\xff\x00" + parentOf, 1}, "long": {strings.Repeat(parentOf, 18), 1}, "not sampled": {unsampled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, spans := recording()
			l := leasetest.New("user-1", leasetest.WithField("traceparent", c.field))
			handled := 0
			h := tracer.Handler(api.HandlerFunc(func(context.Context, api.Notification) error { handled++; return nil }))
			outer, _ := tracer.start(context.Background(), "outer")
			require.NoError(t, h.Handle(outer, api.Notification{Kind: api.Added, Stream: "user-1", Lease: l}))
			require.Equal(t, 1, handled)
			require.Len(t, spans.Ended(), c.spans)
			if c.spans > 0 {
				require.False(t, spans.Ended()[0].Parent().IsValid(), "it begins a trace")
			}
			require.NoError(t, l.Done(context.Background()))
		})
	}
}

func TestErrorsAndPanicsEndTheSpan(t *testing.T) {
	tracer, spans := recording()
	l := leasetest.New("user-1")
	n := api.Notification{Kind: api.Added, Stream: "user-1", Lease: l}
	bad := errors.New("bad")
	require.ErrorIs(t, tracer.Handler(api.HandlerFunc(func(context.Context, api.Notification) error { return bad })).Handle(l.Context(), n), bad)
	require.Panics(t, func() {
		_ = tracer.Handler(api.HandlerFunc(func(context.Context, api.Notification) error { panic("for a test") })).Handle(l.Context(), n)
	})
	ended := spans.Ended()
	require.Len(t, ended, 2)
	require.Equal(t, "bad", ended[0].Status().Description)
	require.Equal(t, "panic", ended[1].Status().Description)
}

func TestBatchIsLinkedToTheTracesOfItsMessages(t *testing.T) {
	other := strings.Replace(parentOf, "0af7", "1af7", 1)
	third := strings.Replace(parentOf, "0af7", "2af7", 1)
	for name, c := range map[string]struct {
		from   []string
		parent bool
		links  int
	}{
		"none": {[]string{"", "rubbish"}, false, 0}, "one": {[]string{parentOf, parentOf, ""}, true, 0},
		"two": {[]string{parentOf, other, parentOf}, false, 2}, "more than the cap": {[]string{parentOf, other, third}, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, spans := recording(WithMaxLinks(2))
			b := &feed.Batch{Lease: leasetest.New("user-1")}
			for _, f := range c.from {
				b.Messages = append(b.Messages, feed.Message{ID: "1-0", Fields: []feed.Field{{Name: "traceparent", Value: f}}})
			}
			require.NoError(t, tracer.Batch(func(context.Context, *feed.Batch) error { return nil })(context.Background(), b))
			s := spans.Ended()[0]
			require.Equal(t, "batch chat", s.Name())
			require.Equal(t, c.parent, s.Parent().IsValid())
			require.Len(t, s.Links(), c.links)
		})
	}
}

func TestTickIsATrace(t *testing.T) {
	tracer, spans := recording()
	tick, _ := schedule.NewTick(leasetest.New("nightly"), &schedule.Spec{Name: "nightly"}, time.Now())
	outer, _ := tracer.start(context.Background(), "outer")
	require.NoError(t, tracer.Tick(func(context.Context, *schedule.Tick) error { return nil })(outer, tick))
	require.False(t, spans.Ended()[0].Parent().IsValid())
	require.Equal(t, "nightly", attributeOf(spans.Ended()[0], "streamlease.schedule"))
}

// The whole way on a real server: announced, owned, handed on with its trace, done; many renewals in between leave no span.
func TestFromTheAnnouncementToTheEnding(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	tracer, spans := recording()
	var mu sync.Mutex
	var owned []api.Lease
	e, err := engine.New(client, "chat", engine.WithMiddleware(tracer.Handler), engine.WithLeaseTTL(6*time.Second))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		ended <- e.Run(context.Background(), api.Funcs{Added: func(_ context.Context, n api.Notification) error {
			mu.Lock()
			defer mu.Unlock()
			owned = append(owned, n.Lease)
			return nil
		}})
	}()
	owns := func(n int) {
		require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(owned) == n }, time.Minute, time.Millisecond)
	}
	publisher, err := engine.NewPublisher(client, "chat")
	require.NoError(t, err)
	ctx, root := tracer.start(t.Context(), "request")
	_, err = tracer.Publish(ctx, publisher, "user-1", nil)
	require.NoError(t, err)
	root.End()
	owns(1)
	calls := renewals(t, client)
	before := len(spans.Started())
	require.Eventually(t, func() bool { return renewals(t, client) > calls+10 }, time.Minute, 10*time.Millisecond)
	require.Len(t, spans.Started(), before, "renewals")
	require.NoError(t, owned[0].Release(t.Context()))
	owns(2)
	require.NoError(t, owned[1].Done(t.Context()))
	require.NoError(t, e.Shutdown(context.Background()))
	require.NoError(t, <-ended)
	require.Eventually(t, func() bool { return len(named(spans, "own chat")) == 2 }, time.Minute, time.Millisecond)

	publish := named(spans, "publish chat")[0]
	require.Equal(t, trace.SpanKindProducer, publish.SpanKind())
	for _, s := range named(spans, "process chat") {
		require.Equal(t, publish.SpanContext().SpanID(), s.Parent().SpanID(), "for each owner")
		require.Equal(t, publish.SpanContext().TraceID(), s.SpanContext().TraceID())
	}
	var outcomes []string
	for _, s := range named(spans, "own chat") {
		outcomes = append(outcomes, attributeOf(s, "streamlease.outcome"))
	}
	require.ElementsMatch(t, []string{"released", "done"}, outcomes)
	require.Len(t, spans.Ended(), 6, "request, publish, twice process and own")
}

// renewals is how many scripts the server has run.
func renewals(t *testing.T, client rueidis.Client) int {
	t.Helper()
	text, err := client.Do(t.Context(), client.B().Info().Section("commandstats").Build()).ToString()
	require.NoError(t, err)
	_, after, _ := strings.Cut(text, "cmdstat_evalsha:calls=")
	n := 0
	for _, c := range after {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}
