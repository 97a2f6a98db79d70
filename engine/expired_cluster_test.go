package engine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
)

// listening is an engine on a cluster with WithExpired, and the hints that it got.
type listening struct {
	t       *testing.T
	cluster *servers.Cluster
	admin   rueidis.Client
	engine  *Engine
	round   int

	mu     sync.Mutex
	seen   map[string]bool // streams with an Expired notification
	missed map[string]int  // EventHintsMissed, by server
}

func startListening(t *testing.T) *listening {
	c := servers.NewCluster(t, servers.ClusterOptions{Node: servers.Options{Args: []string{"--notify-keyspace-events", "Kx"}}})
	l := &listening{t: t, cluster: c, admin: c.Client(t), seen: make(map[string]bool), missed: make(map[string]int)}
	opt := c.ClientOption()
	opt.ClusterOption.ShardsRefreshInterval = 200 * time.Millisecond
	var err error
	l.engine, err = Open(opt, liveService, WithPartitions(16), WithExpired(), WithRegisterer(prometheus.NewRegistry()),
		WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))), WithEvents(func(e api.Event) {
			if e.Kind == api.EventHintsMissed {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.missed[e.Detail]++
			}
		}))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		ended <- l.engine.Run(context.Background(), api.HandlerFunc(func(_ context.Context, n api.Notification) error {
			if n.Kind == api.Expired {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.seen[n.Stream] = true
			}
			return nil
		}))
	}()
	t.Cleanup(func() {
		require.NoError(t, l.engine.Shutdown(context.Background()))
		require.NoError(t, <-ended)
	})
	return l
}

// heard waits until hints have come from every partition: leases of others expire there, of new streams each time, over and
// over, since a hint that nobody was subscribed for is lost.
func (l *listening) heard(when string) {
	l.t.Helper()
	heard := make(map[int]bool)
	require.Eventually(l.t, func() bool {
		l.round++
		for p := range l.engine.layout.Partitions() {
			stream := fmt.Sprintf("%d-%d", p, l.round)
			if heard[p] {
				continue
			}
			l.expire(l.engine.layout.Keys(p).Lease(stream))
			l.mu.Lock()
			for round := range l.round + 1 {
				heard[p] = heard[p] || l.seen[fmt.Sprintf("%d-%d", p, round)]
			}
			l.mu.Unlock()
		}
		return len(heard) == l.engine.layout.Partitions() && !anyFalse(heard)
	}, time.Minute, 10*time.Millisecond, "%s: %v", when, heard)
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.seen)
}

func anyFalse(m map[int]bool) bool {
	for _, is := range m {
		if !is {
			return true
		}
	}
	return false
}

// expire sets a key that expires, and touches it on its master, so that it is gone.
func (l *listening) expire(key string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.admin.Do(ctx, l.admin.B().Set().Key(key).Value("other.1 1 1-1").PxMilliseconds(1).Build()).Error()
	_ = l.admin.Do(ctx, l.admin.B().Pexpire().Key(key).Milliseconds(1).Build()).Error()
}

// Hints come from the masters of all partitions: at first, while a replica hangs, after a graceful failover, and after a
// master was killed and its replica has taken over. The engine subscribes again to the one that was killed and comes back, and
// reports that, since hints from before are missing.
func TestExpiredFromEveryMaster(t *testing.T) {
	l := startListening(t)
	ctx := context.Background()
	l.heard("at first")

	masters, err := l.cluster.Masters(ctx)
	require.NoError(t, err)
	replicas, err := l.cluster.Replicas(ctx, masters[0])
	require.NoError(t, err)
	require.NoError(t, replicas[0].Pause())
	l.heard("while a replica hangs")
	require.NoError(t, replicas[0].Resume())
	require.NoError(t, l.cluster.AwaitReady(ctx))

	require.NoError(t, l.cluster.Failover(ctx, replicas[0], servers.Graceful))
	l.heard("after a failover")

	require.NoError(t, masters[1].Kill())
	l.heard("after a master was killed")
	require.NoError(t, masters[1].Restart(ctx, false))
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.missed[masters[1].Addr()] > 0
	}, time.Minute, 10*time.Millisecond, "the one that came back is listened to")
	l.heard("after it came back")
}
