package baseline

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	patience = 30 * time.Second
	poll     = 5 * time.Millisecond
)

type world struct {
	redis  *redis.Client
	client *Client
	lost   chan string
	end    func() error
}

// start runs a client that has n streams to take.
func start(t *testing.T, n int, ttl time.Duration) *world {
	t.Helper()
	server := servers.New(t)
	p := producer.Producer{Client: server.Client(t), Service: "s", Prefix: "user-"}
	_, err := p.Announce(t.Context(), 0, n)
	require.NoError(t, err)
	w := &world{redis: redis.NewClient(&redis.Options{Addr: server.Addr()}), lost: make(chan string, n)}
	t.Cleanup(func() { _ = w.redis.Close() })
	w.client, err = New(w.redis, Options{
		Service: "s", Consumer: "c", TTL: ttl,
		Added: func(string) {}, Disowned: func(stream string) { w.lost <- stream },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.client.Run(ctx) }()
	w.end = func() error {
		cancel()
		return <-ended
	}
	require.Eventually(t, func() bool { return w.client.Held() == n }, patience, poll)
	return w
}

func (w *world) locks(t *testing.T) []string {
	t.Helper()
	keys, err := w.redis.Keys(context.Background(), "user-*").Result()
	require.NoError(t, err)
	return keys
}

func TestEveryStreamIsLockedExtendedAndUnlocked(t *testing.T) {
	const n = 50
	w := start(t, n, time.Second)
	require.Len(t, w.locks(t), n)
	require.Eventually(t, func() bool { return w.client.Extended() >= 4*n }, patience, poll)
	require.Equal(t, n, w.client.Held())
	require.Len(t, w.locks(t), n, "longer than a TTL after they were taken")
	require.Zero(t, w.client.Disowned())
	require.NoError(t, w.end())
	require.Empty(t, w.locks(t))
	require.Zero(t, w.client.Held())
	pending, err := w.redis.XPending(context.Background(), "s-input", "s-group").Result()
	require.NoError(t, err)
	require.EqualValues(t, n, pending.Count)
}

func TestALockThatIsGoneIsLost(t *testing.T) {
	w := start(t, 3, time.Second)
	keys := w.locks(t)
	require.NoError(t, w.redis.Del(t.Context(), keys[0]).Err())
	require.Contains(t, keys[0], <-w.lost)
	require.EqualValues(t, 1, w.client.Disowned())
	require.Equal(t, 2, w.client.Held())
	require.NoError(t, w.end())
}

func TestATTLIsNeeded(t *testing.T) {
	_, err := New(nil, Options{})
	require.ErrorContains(t, err, "TTL: 0s is not above 0")
}
