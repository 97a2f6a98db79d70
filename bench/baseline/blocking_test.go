package baseline

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/test/servers"
)

// TestBlockingReadsEveryStreamInOrder from its beginning, and what is added while it waits.
func TestBlockingReadsEveryStreamInOrder(t *testing.T) {
	const streams, before, after = 50, 150, 3
	server := servers.New(t)
	p := producer.Producer{Client: server.Client(t), Prefix: "s-"}
	_, err := p.Fill(t.Context(), streams, 0, before)
	require.NoError(t, err)

	connections := redis.NewClient(&redis.Options{Addr: server.Addr(), PoolSize: streams + 10})
	var mu sync.Mutex
	got := make(map[string][]string)
	b := NewBlocking(connections, func(stream string, batch []redis.XMessage) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range batch {
			got[stream] = append(got[stream], m.Values["n"].(string))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, b.Connect(ctx, streams))
	var names []string
	for i := range streams {
		names = append(names, p.Stream(i))
	}
	b.Start(ctx, names)
	require.Eventually(t, func() bool {
		info, err := server.Info(ctx, "clients")
		require.NoError(t, err)
		return info["blocked_clients"] == fmt.Sprint(streams)
	}, patience, poll)
	_, err = p.Fill(ctx, streams, before, before+after)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range names {
			if len(got[s]) < before+after {
				return false
			}
		}
		return true
	}, patience, poll)
	cancel()
	require.NoError(t, connections.Close())
	b.Wait()
	require.Zero(t, b.Failed())
	for _, s := range names {
		require.Len(t, got[s], before+after)
		for i, n := range got[s] {
			require.Equal(t, fmt.Sprint(i), n, "%s, message %d", s, i)
		}
	}
}
