package feed_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
)

// Run returns in time although a master is gone, or does not answer, when the engine is shut down: while it drains, and while its reader
// waits for that master.
func TestRunReturnsAlthoughAMasterIsGone(t *testing.T) {
	for name, strike := range map[string]func(*servers.Server) error{
		"killed": (*servers.Server).Kill,
		"hangs":  (*servers.Server).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
			l := startLive(t, c.ClientOption(), feed.Config{}, nil, engine.WithPartitions(3), engine.WithDrainTimeout(2*time.Second),
				engine.WithLeaseTTL(4*time.Second), engine.WithSessionTTL(2*time.Second))
			const streams = 60
			p, err := engine.NewPublisher(l.client, service, engine.WithPartitions(3))
			require.NoError(t, err)
			for i := range streams {
				l.call("XADD s%d 1-0 n 1", i)
				_, err := p.Publish(t.Context(), fmt.Sprint("s", i), nil)
				require.NoError(t, err)
			}
			until(t, "all are read", func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.seen) == streams
			})
			layout, err := cluster.NewLayout(service, 3)
			require.NoError(t, err)
			m, err := c.Owner(t.Context(), layout.Keys(0).Slot)
			require.NoError(t, err)
			require.NoError(t, strike(m))
			ended := make(chan error, 1)
			go func() { ended <- l.stop() }()
			select {
			case err := <-ended:
				require.ErrorIs(t, err, api.ErrDrainTimeout)
			case <-time.After(20 * time.Second):
				t.Fatal("Run has not returned")
			}
		})
	}
}
