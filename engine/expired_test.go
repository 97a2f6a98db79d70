package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
)

func isAnyOf(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func TestOwnStreamsAreForgotten(t *testing.T) {
	o := ownStreams{span: time.Minute}
	at := time.Now()
	require.False(t, o.has("a", at))
	o.add("a", at)
	require.True(t, o.has("a", at.Add(59*time.Second)))
	o.add("b", at.Add(61*time.Second))
	require.True(t, o.has("a", at.Add(61*time.Second)), "for at least one span")
	require.True(t, o.has("b", at.Add(61*time.Second)))
	require.False(t, o.has("a", at.Add(122*time.Second)))
	require.False(t, o.has("b", at.Add(time.Hour)))
	for n := range 3 * ownKept {
		o.add(strconv.Itoa(n), at.Add(time.Hour))
	}
	require.LessOrEqual(t, len(o.mu.now)+len(o.mu.before), 2*ownKept)
	require.True(t, o.has(strconv.Itoa(3*ownKept-1), at.Add(time.Hour)))
}

// subscribed waits until a server has a subscription of the engine.
func (l *live) subscribed() {
	l.t.Helper()
	l.until("there is a subscription", func() bool { return l.num("PUBSUB", "NUMPAT") == 1 })
}

// expire makes keys expire on the server, which reports it before it answers.
func (l *live) expire(keys ...string) {
	l.t.Helper()
	for _, key := range keys {
		l.do("SET", key, "other.1 1 1-1", "PX", "1")
		l.until("the key is gone", func() bool { return l.num("EXISTS", key) == 0 })
	}
}

func (l *live) key(stream string) string {
	return l.layout.Keys(l.layout.Of(stream)).Lease(stream)
}

func TestExpiredIsDeliveredForLeasesOfOthers(t *testing.T) {
	for _, flags := range []string{"Ex", "Kx", "KEA"} {
		t.Run(flags, func(t *testing.T) {
			l := startLive(t, servers.New(t, servers.Args("--notify-keyspace-events", flags)), nil, WithExpired(), WithPartitions(2))
			l.subscribed()
			l.expire("{orders-input}:lease:", "{orders-input-2}:lease:elsewhere", "{shop-input}:lease:x", "other", "{orders-input}:tokens",
				l.key("{user}:a }:lease: b"), l.key("last"))
			l.until("both are delivered and counted", func() bool {
				delivered, _ := l.metric("expired_total", "result", "delivered")
				return delivered == 2
			})
			require.ElementsMatch(t, []string{"{user}:a }:lease: b", "last"}, l.notifiedStreams(api.Expired))
			require.NotContains(t, l.log.String(), "expiry notifications")
		})
	}
}

// A stream that this process holds, or has lost, is reported in other ways.
func TestExpiredIsNotDeliveredForOwnStreams(t *testing.T) {
	l := startLive(t, servers.New(t, servers.Args("--notify-keyspace-events", "Ex")), nil, WithExpired())
	l.subscribed()
	l.announce("mine")
	l.until("it is added", func() bool { return l.notified(api.Added, "mine") == 1 })
	l.do("PEXPIRE", l.key("mine"), "1")
	l.until("the lease is gone", func() bool { return l.num("EXISTS", l.key("mine")) == 0 })
	l.until("the report has come", func() bool { n, _ := l.metric("expired_total", "result", "own"); return n == 1 })
	l.hints.lost("lost")
	l.expire(l.key("lost"), l.key("last"))
	l.until("the last one is delivered and counted", func() bool {
		delivered, _ := l.metric("expired_total", "result", "delivered")
		return l.notified(api.Expired, "last") == 1 && delivered > 0
	})
	require.Equal(t, []string{"last"}, l.notifiedStreams(api.Expired))
}

func TestExpiredSetsFlagsOnlyWhereAllowed(t *testing.T) {
	server := servers.New(t, servers.Args("--notify-keyspace-events", "ls"))
	setting := func(l *live) string {
		m := l.do("CONFIG", "GET", "notify-keyspace-events")
		values, err := m.AsStrMap()
		require.NoError(t, err)
		return values["notify-keyspace-events"]
	}
	l := startLive(t, server, nil, WithExpired())
	l.subscribed()
	require.ElementsMatch(t, []rune("ls"), []rune(setting(l)))
	l.until("it is logged", func() bool { return strings.Contains(l.log.String(), "does not report expired keys") })
	require.Equal(t, 1, strings.Count(l.log.String(), "does not report expired keys"))
	require.NoError(t, l.Shutdown(context.Background()))

	l = startLive(t, server, nil, WithExpired(), WithKeyspaceEvents())
	l.subscribed()
	require.ElementsMatch(t, []rune("lsKEx"), []rune(setting(l)), "added to the flags that are set")
	l.expire(l.key("x"))
	l.until("it is delivered", func() bool { return l.notified(api.Expired, "x") == 1 })
	require.NotContains(t, l.log.String(), "expiry notifications")
}

// Access rules that forbid CONFIG disable only the setting of the flags.
func TestExpiredWithoutTheRightToConfig(t *testing.T) {
	for _, flags := range []string{"Ex", ""} {
		t.Run(flags, func(t *testing.T) {
			server := servers.New(t, servers.Args("--notify-keyspace-events", flags))
			admin := server.Client(t)
			require.NoError(t, admin.Do(context.Background(), admin.B().Arbitrary("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*",
				"+@all", "-config").Build()).Error())
			opt := server.ClientOption()
			opt.Username, opt.Password = "app", "secret"
			l := startLiveWith(t, server, opt, nil, WithExpired(), WithKeyspaceEvents())
			l.subscribed()
			l.expire(l.key("x"))
			if flags != "" {
				l.until("it is delivered", func() bool { return l.notified(api.Expired, "x") == 1 })
			}
			l.announce("s")
			l.until("the rest works", func() bool { return l.notified(api.Added, "s") == 1 })
			l.until("it is logged", func() bool { return strings.Contains(l.log.String(), "CONFIG is refused") })
			require.Equal(t, 1, strings.Count(l.log.String(), "CONFIG is refused"))
		})
	}
}

// A subscription that is cut off is established again, and may be refused in between.
func TestExpiredResubscribes(t *testing.T) {
	l := startLive(t, servers.New(t, servers.Args("--notify-keyspace-events", "KEx")), nil, WithExpired())
	for n := range 2 {
		l.subscribed()
		l.expire(l.key("s" + strconv.Itoa(n)))
		l.until("it is delivered", func() bool { return l.notified(api.Expired, "s"+strconv.Itoa(n)) == 1 })
		require.Equal(t, 1, l.num("CLIENT", "KILL", "TYPE", "pubsub"))
		l.until("it is noticed", func() bool {
			made, _ := l.metric("expired_subscriptions_total", "result", "made")
			return made == float64(n+2)
		})
	}
}

// forge reports keys as expired, as anybody may who may publish.
func (l *live) forge(ctx context.Context, client rueidis.Client, keys ...string) {
	commands := make(rueidis.Commands, len(keys))
	for i, key := range keys {
		commands[i] = client.B().Publish().Channel("__keyevent@0__:expired").Message(key).Build()
	}
	for _, result := range client.DoMulti(ctx, commands...) {
		if ctx.Err() == nil {
			require.NoError(l.t, result.Error())
		}
	}
}

// Handlers that are behind cost hints, and nothing else: not even a notification of the same stream waits for them.
func TestExpiredIsDroppedWhenHandlersAreBehind(t *testing.T) {
	for _, workers := range []int{1, 20} {
		t.Run(strconv.Itoa(workers), func(t *testing.T) {
			release := make(chan struct{})
			var running atomic.Int32
			l := startLive(t, servers.New(t, servers.Args("--notify-keyspace-events", "Ex")), func(_ context.Context, n api.Notification) error {
				if n.Kind == api.Expired {
					running.Add(1)
					<-release
				}
				return nil
			}, WithExpired(), WithReadBatch(10), WithWorkers(workers))
			defer close(release)
			l.subscribed()
			var keys []string
			for i := range 2 * hintsKept {
				keys = append(keys, l.key(fmt.Sprintf("s%d", i)))
			}
			l.forge(t.Context(), l.client, keys...)
			l.until("all reports have come", func() bool {
				delivered, _ := l.metric("expired_total", "result", "delivered")
				dropped, _ := l.metric("expired_total", "result", "dropped")
				return delivered > 0 && delivered <= hintsKept && delivered+dropped == 2*hintsKept
			})
			l.until("some are handled", func() bool { return running.Load() == int32(max(1, workers/hintWorkers)) })
			require.Zero(t, l.Stats().Queued)
			for _, stream := range []string{"s0", "s1", "other"} {
				l.announce(stream)
				l.until("it is handed out", func() bool { return l.notified(api.Added, stream) == 1 })
			}
		})
	}
}

// Trace: under a flood of reports, true or forged, 1,999 of 2,000 streams were taken only after a minute. Hints waited in the
// same queues, kept streams from being acquired, and reading paused for them.
func TestFloodOfExpiredDelaysNoAcquisition(t *testing.T) {
	release := make(chan struct{})
	l := startLive(t, servers.New(t, servers.Args("--notify-keyspace-events", "Ex")), func(_ context.Context, n api.Notification) error {
		if n.Kind == api.Expired {
			<-release
		}
		return nil
	}, WithExpired(), WithWorkers(4))
	defer close(release)
	l.subscribed()
	const streams = 2000
	name := func(i int) string { return fmt.Sprintf("s%04d", i) }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var flood sync.WaitGroup
	sent := make(chan struct{}, 1)
	for range 2 {
		client := l.server.Client(t)
		flood.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				keys := make([]string, 0, 200)
				for k := range cap(keys) {
					keys = append(keys, l.key(name((i*cap(keys)+k)%streams)))
				}
				l.forge(ctx, client, keys...)
				select {
				case sent <- struct{}{}:
				default:
				}
			}
		})
	}
	<-sent
	for i := range streams {
		l.announce(name(i))
	}
	l.until("all streams are handed out", func() bool { return len(l.notifiedStreams(api.Added)) == streams })
	stop()
	flood.Wait()
	require.Zero(t, l.Stats().Parked, "none waited for a hint")
	dropped, _ := l.metric("expired_total", "result", "dropped")
	require.NotZero(t, dropped)
}

// A report that no server would make about this service reaches nobody, and takes no room in the queue.
func TestForgedExpiredReportsAreDropped(t *testing.T) {
	l := startLive(t, servers.New(t, servers.Args("--notify-keyspace-events", "Ex")), nil, WithExpired(), WithPartitions(2))
	l.subscribed()
	l.announce("held")
	l.until("it is added", func() bool { return l.notified(api.Added, "held") == 1 })
	elsewhere := l.layout.Keys(1 - l.layout.Of("x")).Lease("x") // the stream of another partition
	l.forge(t.Context(), l.client, "", "x", "}:lease:", "{orders-input}", "{orders-input}:lease:", "{orders-input-2}:lease:x", elsewhere,
		l.layout.Keys(0).LeasePrefix()+strings.Repeat("n", 1<<16), l.layout.Keys(0).LeasePrefix()+"\xff\xfe",
		l.layout.Keys(1).LeasePrefix()+"\xff\xfe", l.layout.Keys(1).LeasePrefix()+strings.Repeat("n", 1<<16+1), l.key("held"), l.key("last"))
	l.until("the last one is delivered", func() bool { return l.notified(api.Expired, "last") == 1 })
	require.Equal(t, []string{"last"}, l.notifiedStreams(api.Expired))
	delivered, _ := l.metric("expired_total", "result", "delivered")
	own, _ := l.metric("expired_total", "result", "own")
	dropped, _ := l.metric("expired_total", "result", "dropped")
	require.Equal(t, []float64{1, 1, 0}, []float64{delivered, own, dropped})
}

// A handler of Expired that still runs at the end is waited for like others, and nothing comes after Terminated.
func TestExpiredDuringTheDrain(t *testing.T) {
	var ended atomic.Bool
	release := make(chan struct{})
	l := startLive(t, servers.New(t, servers.Args("--notify-keyspace-events", "Ex")), func(ctx context.Context, n api.Notification) error {
		switch n.Kind {
		case api.Expired:
			require.False(t, ended.Load())
			select {
			case <-release:
			case <-ctx.Done():
			}
		case api.Terminated:
			ended.Store(true)
		}
		return nil
	}, WithExpired(), WithWorkers(1))
	l.subscribed()
	l.forge(t.Context(), l.client, l.key("a"), l.key("b"), l.key("c"))
	l.until("one is handled", func() bool { return len(l.notifiedStreams(api.Expired)) == 1 })
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	l.until("it is draining", func() bool { return l.life.drain.Err() != nil })
	close(release)
	require.NoError(t, <-result)
	require.True(t, ended.Load())
	require.Less(t, len(l.notifiedStreams(api.Expired)), 4)
}
