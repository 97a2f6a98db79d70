package engine

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

// live is an engine that runs on a real server, and the notifications that it sent.
type live struct {
	*Engine
	t        *testing.T
	server   *servers.Server
	client   rueidis.Client
	registry *prometheus.Registry
	ended    chan error
	log      telemetry.Log

	mu   sync.Mutex
	seen map[string]int // "<kind> <stream>"
}

const liveService = "orders"

// startLive runs an engine until the end of the test, and waits until it is ready. on may be nil.
func startLive(t *testing.T, server *servers.Server, on api.HandlerFunc, opts ...Option) *live {
	t.Helper()
	return startLiveWith(t, server, server.ClientOption(), on, opts...)
}

func startLiveWith(t *testing.T, server *servers.Server, opt rueidis.ClientOption, on api.HandlerFunc, opts ...Option) *live {
	t.Helper()
	l := &live{t: t, server: server, client: server.Client(t), registry: prometheus.NewRegistry(),
		ended: make(chan error, 1), seen: make(map[string]int)}
	base := []Option{WithRegisterer(l.registry), WithLogger(l.log.Logger())}
	var err error
	l.Engine, err = Open(opt, liveService, append(base, opts...)...)
	require.NoError(t, err)
	go func() {
		l.ended <- l.Run(context.Background(), api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
			l.mu.Lock()
			l.seen[n.Kind.String()+" "+n.Stream]++
			l.mu.Unlock()
			if on != nil {
				return on(ctx, n)
			}
			return nil
		}))
	}()
	t.Cleanup(func() {
		_ = l.Shutdown(context.Background())
		<-l.ended
		if t.Failed() {
			t.Logf("log:\n%s", l.log.String())
		}
	})
	l.until("the engine is ready", func() bool { return l.Ready(context.Background()) == nil })
	return l
}

// notified is the number of notifications of a kind about a stream.
func (l *live) notified(kind api.Kind, stream string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[kind.String()+" "+stream]
}

// notifiedStreams are the streams that notifications of a kind were about.
func (l *live) notifiedStreams(kind api.Kind) (streams []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.seen {
		if name, stream, _ := strings.Cut(key, " "); name == kind.String() {
			streams = append(streams, stream)
		}
	}
	return streams
}

func (l *live) until(what string, ok func() bool) {
	l.t.Helper()
	require.Eventually(l.t, ok, time.Minute, 5*time.Millisecond, what)
}

func (l *live) do(args ...string) rueidis.RedisMessage {
	l.t.Helper()
	m, err := l.client.Do(context.Background(), l.client.B().Arbitrary(args...).Build()).ToMessage()
	if !rueidis.IsRedisNil(err) {
		require.NoError(l.t, err, "%q", args)
	}
	return m
}

func (l *live) num(args ...string) int {
	l.t.Helper()
	m := l.do(args...)
	n, err := m.AsInt64()
	require.NoError(l.t, err)
	return int(n)
}

func (l *live) announce(stream string) {
	l.t.Helper()
	l.do("XADD", l.layout.Keys(l.layout.Of(stream)).Input, "*", "lbs-input", `{"DataStreamName":`+strconv.Quote(stream)+`}`)
}

// metric is the sum of a metric over all series with these labels, given as name, value, …
func (l *live) metric(name string, labels ...string) (sum float64, there bool) {
	l.t.Helper()
	return telemetry.Sum(l.t, l.registry, name, labels...)
}

// looked waits for the first full look at a partition.
func (l *live) looked(partition int) {
	l.t.Helper()
	l.until("the first look", func() bool { return l.backlogs.last[partition].Load() != nil })
}
