package expiry_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/expiry"
	"github.com/streamlease/streamlease/test/servers"
)

// watch is a watcher on a real server, and what its hooks were called with.
type watch struct {
	t      *testing.T
	layout *cluster.Layout
	client rueidis.Client

	mu      sync.Mutex
	expired []string
	dropped int
	changes map[expiry.Subscription]int
	missed  int
	warned  []string
}

// newWatch starts a watcher whose Expired waits for release, if there is one.
func newWatch(t *testing.T, server *servers.Server, release <-chan struct{}) *watch {
	layout, err := cluster.NewLayout("orders", 2)
	require.NoError(t, err)
	w := &watch{t: t, layout: layout, client: server.Client(t), changes: make(map[expiry.Subscription]int)}
	do := func(f func()) {
		w.mu.Lock()
		defer w.mu.Unlock()
		f()
	}
	watcher := expiry.New(expiry.Config{
		Layout:  layout,
		Nodes:   w.client.Nodes,
		Stale:   func() bool { return false },
		Timeout: time.Second,
		Backoff: func(int) time.Duration { return time.Millisecond },
	}, expiry.Hooks{
		Expired: func(stream string) {
			do(func() { w.expired = append(w.expired, stream) })
			if release != nil {
				<-release
			}
		},
		Dropped: func() { do(func() { w.dropped++ }) },
		Subscription: func(_ string, what expiry.Subscription, missed bool) {
			do(func() {
				w.changes[what]++
				if missed {
					w.missed++
				}
			})
		},
		Warn: func(message string, _ error, _ ...any) { do(func() { w.warned = append(w.warned, message) }) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { watcher.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	w.until("it has subscribed", func() bool { return w.changes[expiry.Made] == 1 })
	return w
}

func (w *watch) until(what string, ok func() bool) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return ok()
	}, 30*time.Second, time.Millisecond, what)
}

// report publishes that keys have expired, as anybody may.
func (w *watch) report(keys ...string) {
	w.t.Helper()
	for _, key := range keys {
		require.NoError(w.t, w.client.Do(context.Background(),
			w.client.B().Publish().Channel("__keyevent@0__:expired").Message(key).Build()).Error())
	}
}

func (w *watch) key(stream string) string { return w.layout.Keys(w.layout.Of(stream)).Lease(stream) }

func TestWatcherReportsLeasesOfTheServiceOnly(t *testing.T) {
	w := newWatch(t, servers.New(t, servers.Args("--notify-keyspace-events", "Ex")), nil)
	elsewhere := w.layout.Keys(1 - w.layout.Of("x")).Lease("x") // the stream of another partition
	w.report("", "x", "}:lease:", "{shop-input}:lease:x", w.layout.Keys(0).LeasePrefix(), elsewhere,
		w.layout.Keys(0).LeasePrefix()+strings.Repeat("n", 1<<16), w.layout.Keys(0).LeasePrefix()+"\xff\xfe", w.key("{user}:a }:lease: b"))
	require.NoError(t, w.client.Do(context.Background(), w.client.B().Set().Key(w.key("last")).Value("v").PxMilliseconds(1).Build()).Error())
	w.until("the last one is reported", func() bool { return len(w.expired) == 2 })
	require.Equal(t, []string{"{user}:a }:lease: b", "last"}, w.expired)
	require.Empty(t, w.warned)
	require.Zero(t, w.dropped)
}

// A server that says nothing of expired keys is warned of once, and so is a subscription that was cut off reported.
func TestWatcherWarnsAndSubscribesAgain(t *testing.T) {
	w := newWatch(t, servers.New(t, servers.Args("--notify-keyspace-events", "")), nil)
	w.until("it has warned", func() bool { return len(w.warned) == 1 })
	require.Contains(t, w.warned[0], "does not report expired keys")
	require.NoError(t, w.client.Do(context.Background(), w.client.B().Arbitrary("CLIENT", "KILL", "TYPE", "pubsub").Build()).Error())
	w.until("it has subscribed again", func() bool { return w.changes[expiry.Lost] == 1 && w.changes[expiry.Made] == 2 && w.missed == 1 })
	w.report(w.key("x"))
	w.until("it hears of leases", func() bool { return len(w.expired) == 1 })
	require.Len(t, w.warned, 1)
}

// Whoever is slow to take reports costs reports, and holds up no connection.
func TestWatcherDropsWhatFindsNoRoom(t *testing.T) {
	release := make(chan struct{})
	w := newWatch(t, servers.New(t, servers.Args("--notify-keyspace-events", "Ex")), release)
	defer close(release)
	for range 400 {
		w.report(w.key("x"))
	}
	w.until("some were dropped", func() bool { return w.dropped > 0 })
	require.Len(t, w.expired, 1)
}
