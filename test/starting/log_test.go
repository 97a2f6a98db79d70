package starting

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// publisher returns a publisher of a service and what it logs.
func publisher(t *testing.T, client rueidis.Client, name string) (*engine.Publisher, *lines) {
	t.Helper()
	log, text := logger(slog.LevelDebug)
	p, err := engine.NewPublisher(client, name, engine.WithLogger(log))
	require.NoError(t, err)
	return p, text
}

func publish(t *testing.T, p *engine.Publisher, stream string) {
	t.Helper()
	_, err := p.Publish(t.Context(), stream, nil)
	require.NoError(t, err)
}

// A publisher may come first, and its announcements wait; but a mistake in the name of a service shows, once. It does not once an
// engine has opened the service, whether or not that is still alive.
func TestAServiceThatNobodyHasOpened(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	const warning = "no engine has opened this service yet"

	first, log := publisher(t, client, service)
	publish(t, first, "a")
	publish(t, first, "b")
	_, err := first.PublishMany(t.Context(), api.Announcement{Stream: "c"})
	require.NoError(t, err)
	require.Len(t, log.of(warning), 1)
	require.Contains(t, log.of(warning)[0], "level=WARN")
	require.Contains(t, log.of(warning)[0], "service=orders input=orders-input")

	r := run(t, server.ClientOption())
	r.untilReady()
	alive, log := publisher(t, client, service)
	publish(t, alive, "d")
	require.Empty(t, log.of(""))
	require.NoError(t, r.end())
	ended, log := publisher(t, client, service)
	publish(t, ended, "e")
	require.Empty(t, log.of(""))

	wrong, log := publisher(t, client, "order")
	publish(t, wrong, "a")
	require.Len(t, log.of(warning), 1)
}

// With the rights that earlier versions asked of a publisher, it cannot know, and says nothing.
func TestAPublisherThatMayNotLook(t *testing.T) {
	server := servers.New(t)
	opt := user(t, server, "~orders-input", "~{orders-input}:meta", "+ping", "+time", "+evalsha", "+eval", "+hmget", "+hsetnx", "+xadd")
	opt.DisableCache = true
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	defer client.Close()
	p, log := publisher(t, client, service)
	publish(t, p, "a")
	require.Empty(t, log.of(""))
}

// A start warns of servers that evict keys, each once: by the policy and whether there is a limit of memory.
func TestEvictingServers(t *testing.T) {
	for name, c := range map[string]struct {
		args     []string
		warning  string
		evicts   string
		opts     []engine.Option
		expected bool
	}{
		"all keys":       {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, "level=WARN msg=\"a server evicts keys", "leases and announcements", nil, true},
		"keys with TTLs": {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, "level=WARN msg=\"a server evicts keys", "leases, so streams are disowned", nil, true},
		"no limit yet":   {[]string{"--maxmemory-policy", "allkeys-lru"}, "level=INFO msg=\"a server would evict keys", "noeviction", nil, true},
		"none":           {[]string{"--maxmemory", "100mb"}, "evict", "", nil, false},
		"not looked at":  {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, "evict", "", []engine.Option{engine.WithSettle(false)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := servers.New(t, servers.Args(c.args...))
			r := run(t, server.ClientOption(), c.opts...)
			r.untilReady()
			if c.expected {
				r.until("it is logged", func() bool { return len(r.log.of(c.warning)) > 0 })
				require.Contains(t, r.log.of(c.warning)[0], c.evicts)
				require.Contains(t, r.log.of(c.warning)[0], "server="+server.Addr())
			}
			require.NoError(t, r.end(), "which waits for the question")
			want := 0
			if c.expected {
				want = 1
			}
			require.Len(t, r.log.of(c.warning), want)
		})
	}
}

// Each master of a cluster is asked, and no replica.
func TestEvictingCluster(t *testing.T) {
	cluster := servers.NewCluster(t, servers.ClusterOptions{})
	for _, node := range cluster.Nodes() {
		_, err := node.Call(t.Context(), "CONFIG", "SET", "maxmemory", "100mb")
		require.NoError(t, err)
		_, err = node.Call(t.Context(), "CONFIG", "SET", "maxmemory-policy", "allkeys-random")
		require.NoError(t, err)
	}
	r := run(t, cluster.ClientOption())
	r.untilReady()
	r.until("it is logged", func() bool { return len(r.log.of("a server evicts keys")) > 0 })
	require.NoError(t, r.end())
	warned := r.log.of("a server evicts keys")
	require.Len(t, warned, 2)
	require.Contains(t, warned[1], "count=2", "the other two masters are summed up, and no replica")
}

// A server that answers with an error is not unreachable: it is loading, full, or wants a password.
func TestRefusalsAreNotUnreachable(t *testing.T) {
	server := servers.New(t)
	r := run(t, server.ClientOption(), engine.WithSessionTTL(4*time.Second))
	r.untilReady()
	// Of a user whose rights are taken away, every call is refused.
	_, err := server.Call(t.Context(), "ACL", "SETUSER", "default", "-evalsha", "-eval")
	require.NoError(t, err)
	r.until("it is reported", func() bool { return r.events.count(api.EventRedisRefuses) > 0 })
	_, err = server.Call(t.Context(), "ACL", "SETUSER", "default", "+@all")
	require.NoError(t, err)
	r.until("it ends", func() bool { return r.events.count(api.EventRedisReachable) > 0 })
	require.Zero(t, r.events.count(api.EventRedisUnreachable))
	require.Equal(t, 1, r.events.count(api.EventRedisRefuses))
	require.Contains(t, r.log.of("redis refuses")[0], "grant the user the command")
	require.Empty(t, r.log.of("redis unreachable"))

	require.NoError(t, server.Kill())
	r.until("it is reported", func() bool { return r.events.count(api.EventRedisUnreachable) > 0 })
	require.NoError(t, server.Restart(context.Background(), false))
	r.until("it ends", func() bool { return r.events.count(api.EventRedisReachable) > 1 })
}

// What open-source servers answer to the question for maintenance is nothing to read about, unless somebody looks for it.
func TestNoMaintenanceIsUsual(t *testing.T) {
	server := servers.New(t)
	r := run(t, server.ClientOption(), engine.WithMaintenance(notice.Config{Mode: notice.Auto}))
	r.until("the server has answered", func() bool { return len(r.log.of("does not announce maintenance")) > 0 })
	require.Contains(t, r.log.of("does not announce maintenance")[0], "level=DEBUG")
	require.Contains(t, r.log.of("does not announce maintenance")[0], "which is usual")
}

// A start, a take-over in many partitions, and an end are one line each.
func TestOneLineEach(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	p, err := engine.NewPublisher(client, service, engine.WithPartitions(4), engine.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	const streams = 40
	opts := []engine.Option{engine.WithPartitions(4), engine.WithSessionTTL(time.Second), engine.WithLeaseTTL(2 * time.Second)}
	between := proxy.New(t, server.Addr())
	a := run(t, between.ClientOption(), opts...)
	a.untilReady()
	for n := range streams {
		publish(t, p, string(rune('a'+n%26))+string(rune('a'+n/26)))
	}
	a.until("all are held", func() bool { return a.Stats().Held == streams })
	require.Len(t, a.log.of("msg=\"engine started\""), 1)
	require.Regexp(t, `level=INFO .* consumer=\S+ partitions=4 sessions=4 took=`, a.log.of("engine started")[0])
	require.Len(t, a.log.of("level=DEBUG msg=\"session opened\""), 4)

	b := run(t, server.ClientOption(), opts...)
	b.untilReady()
	between.Stall() // to the others, it has died
	b.until("it has taken over", func() bool { return b.Stats().Held == streams })
	b.until("it is logged", func() bool { return len(b.log.of("took over from a dead consumer")) > 0 })
	require.Regexp(t, `level=INFO .* consumer=`+a.ID()+` partitions=4 entries=40 dead_letters=0 gone=0 took=`,
		b.log.of("took over from a dead consumer")[0])

	require.NoError(t, b.end())
	require.Len(t, b.log.of("took over from a dead consumer"), 1)
	require.Len(t, b.log.of("engine ended"), 1)
	require.Regexp(t, `level=INFO msg="engine ended" service=orders held=40 handed_back=40 took=`, b.log.of("engine ended")[0])
	between.Resume()
}
