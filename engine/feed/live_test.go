package feed_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
	"github.com/streamlease/streamlease/test/wait"
)

const service = "orders"

// live is a feed on a real server, with what its handler saw.
type live struct {
	*feed.Feed
	t        *testing.T
	client   rueidis.Client
	registry *prometheus.Registry
	log      telemetry.Log

	stop func() error // waits for Run, and returns its error

	mu   sync.Mutex
	seen map[string][]string // by stream: IDs
	do   feed.Handler
}

func startLive(t *testing.T, opt rueidis.ClientOption, c feed.Config, do feed.Handler, opts ...engine.Option) *live {
	t.Helper()
	plain := opt
	plain.DisableCache = true
	client, err := rueidis.NewClient(plain)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	l := &live{t: t, client: client, registry: prometheus.NewRegistry(), seen: make(map[string][]string), do: do}
	e, err := engine.Open(opt, service, append([]engine.Option{engine.WithRegisterer(l.registry), engine.WithLogger(l.log.Logger())}, opts...)...)
	require.NoError(t, err)
	l.Feed, err = feed.New(e, l.handle, c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		_ = l.stop()
		if t.Failed() {
			t.Logf("log:\n%s", l.log.String())
		}
	})
	until(t, "the engine is ready", func() bool { return e.Ready(context.Background()) == nil })
	return l
}

func (l *live) handle(ctx context.Context, b *feed.Batch) error {
	var err error
	if l.do != nil {
		err = l.do(ctx, b)
	}
	if err == nil && b.Lease.Remaining() > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, m := range b.Messages {
			l.seen[b.Lease.Stream()] = append(l.seen[b.Lease.Stream()], m.ID)
		}
	}
	return err
}

func (l *live) ids(stream string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.seen[stream]...)
}

// call runs a command, given in one line.
func (l *live) call(line string, args ...any) rueidis.RedisResult {
	l.t.Helper()
	words := strings.Fields(fmt.Sprintf(line, args...))
	r := l.client.Do(l.t.Context(), l.client.B().Arbitrary(words[0]).Keys(words[1]).Args(words[2:]...).Build())
	if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
		require.NoError(l.t, err, line)
	}
	return r
}

func (l *live) announce(streams ...string) {
	l.t.Helper()
	p, err := engine.NewPublisher(l.client, service)
	require.NoError(l.t, err)
	for _, s := range streams {
		_, err := p.Publish(l.t.Context(), s, nil)
		require.NoError(l.t, err)
	}
}

// sees waits until the handler has seen these messages of a stream since the last time, and no others.
func (l *live) sees(stream string, ids ...string) {
	l.t.Helper()
	until(l.t, fmt.Sprintf("%v of %s", ids, stream), func() bool { return len(l.ids(stream)) >= len(ids) })
	require.Equal(l.t, ids, l.ids(stream))
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, stream)
}

// The way of a message on each kind of server: announced, read, handled; then another process goes on where this one stopped.
func TestFeedOnServers(t *testing.T) {
	for _, p := range servers.Available(t, servers.Programs()...) {
		t.Run(p.String(), func(t *testing.T) {
			server := servers.New(t, servers.On(p))
			l := startLive(t, server.ClientOption(), feed.Config{MaxBatch: 2}, nil)
			l.call("XADD a 1-0 n 1")
			l.announce("a", "b")
			l.sees("a", "1-0")
			for i := 2; i <= 6; i++ {
				l.call("XADD a %d-0 n %d", i, i)
			}
			l.sees("a", "2-0", "3-0", "4-0", "5-0", "6-0")
			l.call("XADD b 1-0 n 1")
			l.sees("b", "1-0")
			require.False(t, l.Stats().Polling)
			require.NoError(t, l.stop())

			l = startLive(t, server.ClientOption(), feed.Config{}, nil)
			l.call("XADD a 7-0 n 7")
			l.sees("a", "7-0")
			l.call("XADD b 2-0 n 1")
			l.sees("b", "2-0")
		})
	}
}

// Deleted, recreated with lower IDs, renamed away and back, trimmed, and of another type.
func TestStreamsThatChangeUnderneath(t *testing.T) {
	var l *live
	var mu sync.Mutex
	var kinds []string
	l = startLive(t, servers.New(t).ClientOption(), feed.Config{OnGap: func(_ context.Context, g feed.Gap) {
		mu.Lock()
		defer mu.Unlock()
		kinds = append(kinds, fmt.Sprintf("%s %v %d", g.Lease.Stream(), g.Kind, g.Missing))
	}}, nil)
	gap := func(want string) {
		t.Helper()
		until(t, want, func() bool { mu.Lock(); defer mu.Unlock(); return len(kinds) > 0 })
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []string{want}, kinds)
		kinds = nil
	}
	l.announce("deleted", "renamed", "trimmed", "typed")
	for _, s := range []string{"deleted", "renamed", "trimmed"} {
		l.call("XADD %s 10-0 n 1", s)
		l.sees(s, "10-0")
	}

	l.call("DEL deleted")
	l.call("XADD deleted 5-1 n 1")
	gap("deleted reborn 0")
	l.sees("deleted", "5-1")

	l.call("RENAME renamed elsewhere")
	l.call("XADD elsewhere 11-0 n 1")
	l.call("RENAME elsewhere renamed")
	l.sees("renamed", "11-0")

	l.client.DoMulti(t.Context(), l.client.B().Multi().Build(), l.client.B().Xadd().Key("trimmed").Id("11-0").FieldValue().FieldValue("n", "1").Build(),
		l.client.B().Xadd().Key("trimmed").Id("12-0").FieldValue().FieldValue("n", "1").Build(),
		l.client.B().Xtrim().Key("trimmed").Maxlen().Threshold("0").Build(), l.client.B().Exec().Build())
	gap("trimmed trimmed 2")
	l.call("XADD trimmed 13-0 n 1")
	l.sees("trimmed", "13-0")

	l.call("SET typed x")
	until(t, "the stream of another type is a dead letter", func() bool {
		n, _ := l.call("XLEN {%s-input}-dlq", service).AsInt64()
		return n == 1
	})
	letters := l.call("XRANGE {%s-input}-dlq - +", service)
	require.Contains(t, letters.String(), "WRONGTYPE")
}

// Where tracking is refused, streams are polled; Mode Tracking says so instead.
func TestTrackingThatIsRefused(t *testing.T) {
	server := servers.New(t)
	admin := server.Client(t)
	require.NoError(t, admin.Do(t.Context(), admin.B().Arbitrary("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-client|tracking").Build()).Error())
	opt := server.ClientOption()
	opt.Username, opt.Password = "plain", "secret"

	l := startLive(t, opt, feed.Config{PollEvery: 50 * time.Millisecond}, nil)
	l.announce("a")
	l.call("XADD a 1-0 n 1")
	l.sees("a", "1-0")
	l.call("XADD a 2-0 n 1")
	l.sees("a", "2-0")
	require.True(t, l.Stats().Polling)
	require.NoError(t, l.stop())

	e, err := engine.Open(opt, service)
	require.NoError(t, err)
	f, err := feed.New(e, func(context.Context, *feed.Batch) error { return nil }, feed.Config{Mode: feed.Tracking})
	require.NoError(t, err)
	require.ErrorIs(t, f.Run(t.Context()), feed.ErrTrackingRefused)
}

// A handler that never returns does not keep Run from returning when the time for handlers is over.
func TestHandlerThatNeverReturnsAtADrain(t *testing.T) {
	free := make(chan struct{})
	defer close(free)
	l := startLive(t, servers.New(t).ClientOption(), feed.Config{}, func(_ context.Context, b *feed.Batch) error {
		if b.Lease.Stream() == "stuck" {
			<-free
		}
		return nil
	}, engine.WithDrainTimeout(time.Second))
	l.announce("stuck", "fine")
	l.call("XADD stuck 1-0 n 1")
	l.call("XADD fine 1-0 n 1")
	l.sees("fine", "1-0")
	until(t, "the handler is stuck", func() bool { return l.Stats().Busy == 1 })
	require.Error(t, l.stop())
	require.Empty(t, l.ids("stuck"))
}

// until waits for a condition, for as long as a slow machine needs.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.True(t, wait.For(30*time.Second, 5*time.Millisecond, ok), what)
}
