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

// harness is a client that runs, and its server.
type harness struct {
	redis  *redis.Client
	client *Client
	lost   chan string
	end    func() error
}

// start runs a client that has n streams to take.
func start(t *testing.T, n int, ttl time.Duration) *harness {
	t.Helper()
	server := servers.New(t)
	p := producer.Producer{Client: server.Client(t), Service: "s", Prefix: "user-"}
	_, err := p.Announce(t.Context(), 0, n)
	require.NoError(t, err)
	h := &harness{redis: redis.NewClient(&redis.Options{Addr: server.Addr()}), lost: make(chan string, n)}
	t.Cleanup(func() { _ = h.redis.Close() })
	h.client, err = New(h.redis, Options{
		Service: "s", Consumer: "c", TTL: ttl,
		Added: func(string) {}, Disowned: func(stream string) { h.lost <- stream },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.client.Run(ctx) }()
	h.end = func() error {
		cancel()
		return <-ended
	}
	require.Eventually(t, func() bool { return h.client.Held() == n }, patience, poll)
	return h
}

func (h *harness) locks(t *testing.T) []string {
	t.Helper()
	keys, err := h.redis.Keys(context.Background(), "user-*").Result()
	require.NoError(t, err)
	return keys
}

func TestEveryStreamIsLockedExtendedAndUnlocked(t *testing.T) {
	const n = 50
	h := start(t, n, time.Second)
	require.Len(t, h.locks(t), n)
	require.Eventually(t, func() bool { return h.client.Extended() >= 4*n }, patience, poll)
	require.Equal(t, n, h.client.Held())
	require.Len(t, h.locks(t), n, "longer than a TTL after they were taken")
	require.Zero(t, h.client.Disowned())
	require.NoError(t, h.end())
	require.Empty(t, h.locks(t))
	require.Zero(t, h.client.Held())
	pending, err := h.redis.XPending(context.Background(), "s-input", "s-group").Result()
	require.NoError(t, err)
	require.EqualValues(t, n, pending.Count)
}

func TestALockThatIsGoneIsLost(t *testing.T) {
	h := start(t, 3, time.Second)
	keys := h.locks(t)
	require.NoError(t, h.redis.Del(t.Context(), keys[0]).Err())
	require.Contains(t, keys[0], <-h.lost)
	require.EqualValues(t, 1, h.client.Disowned())
	require.Equal(t, 2, h.client.Held())
	require.NoError(t, h.end())
}

func TestATTLIsNeeded(t *testing.T) {
	_, err := New(nil, Options{})
	require.ErrorContains(t, err, "TTL: 0s is not above 0")
}
