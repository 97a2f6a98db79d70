package engine

import (
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// The values of the table in the documentation.
func TestClientOptionDefaults(t *testing.T) {
	opt, err := ClientOption(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
	require.NoError(t, err)
	require.True(t, opt.DisableCache)
	require.Equal(t, time.Second, opt.ConnWriteTimeout)
	require.Equal(t, time.Second, opt.Dialer.KeepAlive)
	require.Equal(t, time.Second, opt.Dialer.Timeout)
	require.Equal(t, time.Second, opt.Sentinel.Dialer.Timeout)
	require.Equal(t, time.Minute, opt.BlockingPoolCleanup)
	require.Equal(t, 4*time.Second, opt.ClusterOption.ShardsRefreshInterval)
	require.Equal(t, 4*time.Second, opt.Sentinel.TopologyRefreshInterval)
	require.Equal(t, -1, opt.PipelineMultiplex)
	require.Equal(t, []string{"127.0.0.1:6379"}, opt.InitAddress)
}

func TestClientOptionKeepsWhatIsSet(t *testing.T) {
	given := rueidis.ClientOption{ConnWriteTimeout: 3 * time.Second, BlockingPoolCleanup: time.Hour, PipelineMultiplex: 3, DisableCache: true}
	given.Dialer.KeepAlive, given.Dialer.Timeout, given.Sentinel.Dialer.Timeout = 4*time.Second, 5*time.Second, 6*time.Second
	given.ClusterOption.ShardsRefreshInterval, given.Sentinel.TopologyRefreshInterval = 7*time.Second, 8*time.Second
	opt, err := ClientOption(given)
	require.NoError(t, err)
	require.Equal(t, given, opt)
}

func TestClientOptionRefusesWhatNewRefuses(t *testing.T) {
	_, err := ClientOption(rueidis.ClientOption{}, WithSessionTTL(time.Millisecond))
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

// Whatever the TTLs are, a connection that hangs is given up before the session and the leases end, counted from the last beat
// or renewal that can have succeeded.
func TestHungConnectionIsAbandonedInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(int64(MinTTL), int64(10*time.Minute)).Draw(t, "lease TTL"))
		session := time.Duration(rapid.Int64Range(int64(MinTTL), int64(ttl)).Draw(t, "session TTL"))
		timeout := time.Duration(rapid.SampledFrom([]int64{0, 0, int64(MinTimeout), int64(200 * time.Millisecond), int64(5 * time.Second)}).Draw(t, "timeout"))
		opts := []Option{WithLeaseTTL(ttl), WithSessionTTL(session), WithPipeline(lease.Pipeline{Timeout: timeout})}
		cfg, _, err := resolve("s", opts)
		if err != nil {
			t.Skip("refused")
		}
		opt, err := ClientOption(rueidis.ClientOption{}, opts...)
		if err != nil {
			t.Fatal(err)
		}
		noticed := opt.ConnWriteTimeout + 2*opt.Dialer.KeepAlive
		// A timeout that the user set to nearly all of the time leaves nothing for pings.
		if rest := cfg.sessionTTL - cfg.sessionMargin - cfg.beat - cfg.timeout; rest >= 2*minPingGap && noticed > cfg.sessionTTL-cfg.sessionMargin-cfg.beat {
			t.Fatalf("noticed after %v", noticed)
		}
		if noticed >= cfg.leaseTTL-cfg.leaseMargin-cfg.interval+2*minPingGap {
			t.Fatalf("noticed after %v, leases of %v", noticed, cfg.leaseTTL)
		}
		if opt.ConnWriteTimeout < cfg.timeout {
			t.Fatal("answers are given up before the call times out")
		}
	})
}
