package feed_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// One message as large as the whole budget passes, and what follows it, too.
func TestMessageAsLargeAsTheBudget(t *testing.T) {
	l := startLive(t, servers.New(t).ClientOption(), feed.Config{}, nil)
	l.announce("a", "b")
	l.call("XADD a 1-0 n 1")
	huge := strings.Repeat("x", feed.DefaultMaxBytes)
	require.NoError(t, l.client.Do(t.Context(), l.client.B().Xadd().Key("a").Id("2-0").FieldValue().FieldValue("n", huge).Build()).Error())
	l.call("XADD a 3-0 n 3")
	l.sees("a", "1-0", "2-0", "3-0")
	l.call("XADD b 1-0 n 1")
	l.sees("b", "1-0")
	until(t, "nothing is left", func() bool { return l.Stats().Bytes == 0 })
}

// Kept batches that take more than half of the budget are warned of, all of it holds reading up, and reading goes on when they end.
func TestKeptBatchesTakeTheBudget(t *testing.T) {
	const streams, size = 16, 8 << 10
	var mu sync.Mutex
	var kept []*feed.Pending
	l := startLive(t, servers.New(t).ClientOption(), feed.Config{MaxBytes: 64 << 10}, func(_ context.Context, b *feed.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, b.Keep())
		return nil
	})
	for i := range streams {
		name := fmt.Sprint("s", i)
		l.call("XADD %s 1-0 n %s", name, strings.Repeat("x", size))
		l.call("XADD %s 2-0 n %s", name, strings.Repeat("x", size))
		l.announce(name)
	}
	until(t, "the warning", func() bool { return l.log.Has("kept batches take more than half of MaxBytes") })
	until(t, "the budget is used", func() bool { return l.Stats().Bytes >= 64<<10 })
	require.Less(t, l.Stats().Kept, streams, "not all have been read")
	handled := 0
	until(t, "all is handled", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range kept {
			p.Handled()
		}
		kept = nil
		handled = 0
		for i := range streams {
			handled += len(l.ids(fmt.Sprint("s", i)))
		}
		return handled == 2*streams && l.Stats().Bytes == 0
	})
	require.Zero(t, l.Stats().KeptBytes)
}

// A process that dies between Latest and the first message: what comes after Latest was stored is handled by the next one.
func TestCrashBetweenLatestAndTheFirstMessage(t *testing.T) {
	server := servers.New(t)
	link := proxy.New(t, server.Addr())
	latest := feed.Config{Start: feed.Latest}
	dead := startLive(t, link.ClientOption(), latest, nil, engine.WithSessionTTL(time.Second), engine.WithDrainTimeout(100*time.Millisecond))
	client := server.Client(t)
	do := func(line string) rueidis.RedisResult {
		words := strings.Fields(line)
		return client.Do(t.Context(), client.B().Arbitrary(words[0]).Keys(words[1]).Args(words[2:]...).Build())
	}
	do("XADD a 5-0 n 1")
	dead.announce("a")
	until(t, "the beginning is stored", func() bool {
		text, _ := do("HGET {" + service + "-input}:checkpoints sa").ToString()
		return strings.HasSuffix(text, " f1 5-0")
	})
	link.Cut() // nothing arrives any more, as of a process that was killed
	do("XADD a 6-0 n 1")
	l := startLive(t, server.ClientOption(), latest, nil, engine.WithSessionTTL(time.Second))
	l.call("XADD a 7-0 n 1")
	l.sees("a", "6-0", "7-0")
	require.Empty(t, dead.ids("a"))
}

// With positions that are stored seldom, a crash repeats what was handled since, and not more: nothing is skipped.
func TestCrashWithPositionsThatAreStoredSeldom(t *testing.T) {
	server := servers.New(t)
	link := proxy.New(t, server.Addr())
	const every = 2 * time.Second
	client := server.Client(t)
	dead := startLive(t, link.ClientOption(), feed.Config{CheckpointEvery: every}, nil, engine.WithSessionTTL(time.Second), engine.WithDrainTimeout(100*time.Millisecond))
	add := func(i int) {
		require.NoError(t, client.Do(t.Context(), client.B().Xadd().Key("a").Id(fmt.Sprint(i, "-0")).FieldValue().FieldValue("n", "1").Build()).Error())
	}
	stored := func() string {
		text, _ := client.Do(t.Context(), client.B().Hget().Key("{"+service+"-input}:checkpoints").Field("sa").Build()).ToString()
		return text
	}
	dead.announce("a")
	add(1)
	until(t, "the first is handled", func() bool { return len(dead.ids("a")) == 1 })
	until(t, "the position is stored", func() bool { return strings.HasSuffix(stored(), " f1 1-0") })
	add(2)
	add(3)
	until(t, "three are handled", func() bool { return len(dead.ids("a")) == 3 })
	link.Cut()
	_, position, _ := strings.Cut(stored(), " f1 ") // 1-0, unless this machine is slow
	add(4)
	l := startLive(t, server.ClientOption(), feed.Config{}, nil, engine.WithSessionTTL(time.Second))
	all := []string{"1-0", "2-0", "3-0", "4-0"}
	l.sees("a", all[slices.Index(all, position)+1:]...)
}

// A handler that ends the lease itself: the stream is not read any more, and is owned again when it is announced.
func TestHandlerThatEndsTheLease(t *testing.T) {
	var once sync.Once
	l := startLive(t, servers.New(t).ClientOption(), feed.Config{}, func(ctx context.Context, b *feed.Batch) (err error) {
		once.Do(func() { err = b.Lease.Done(ctx) })
		return err
	})
	l.call("XADD a 1-0 n 1")
	l.announce("a")
	until(t, "the stream is done", func() bool {
		n, _ := l.call("XLEN %s-input", service).AsInt64()
		return n == 0 && l.Stats().Streams == 0 && l.Stats().Bytes == 0
	})
	l.announce("a")
	l.call("XADD a 2-0 n 1")
	l.sees("a", "1-0", "2-0") // nothing was stored of the first one
}

// A failover of a cluster under a feed: what was acknowledged after it is handled, in order, without a sweep.
func TestClusterFailoverUnderAFeed(t *testing.T) {
	cluster := servers.NewCluster(t, servers.ClusterOptions{Replicas: 1})
	const streams, rounds = 60, 6
	q := &sequence{last: make(map[string]int)}
	l := startLive(t, cluster.ClientOption(), feed.Config{Sweep: feed.NoSweep}, q.handle)
	add := func(round int) {
		for s := range streams {
			name := fmt.Sprint("s", s)
			until(t, "added to "+name, func() bool {
				err := l.client.Do(t.Context(), l.client.B().Xadd().Key(name).Id(fmt.Sprintf("%d-0", round)).FieldValue().FieldValue("n", fmt.Sprint(round)).Build()).Error()
				return err == nil || strings.Contains(err.Error(), "equal or smaller") // added, and the answer was lost
			})
		}
	}
	for s := range streams {
		l.announce(fmt.Sprint("s", s))
	}
	for round := 1; round <= rounds; round++ {
		add(round)
		until(t, fmt.Sprint("round ", round), func() bool { return q.sum() >= round*streams })
		if round == rounds/2 {
			masters, err := cluster.Masters(t.Context())
			require.NoError(t, err)
			for _, m := range masters {
				replicas, err := cluster.Replicas(t.Context(), m)
				require.NoError(t, err)
				require.NoError(t, cluster.Failover(t.Context(), replicas[0], servers.Graceful))
			}
		}
	}
	require.Empty(t, q.bad)
	require.NoError(t, l.stop())
}
