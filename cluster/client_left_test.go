package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster/dialer"
	"github.com/streamlease/streamlease/test/servers"
)

// A client whose connections are left hundreds of times, for one endpoint and then for the other one, has every call answered, and
// no command runs twice: those that find their connection left were not sent.
func TestNoCallFailsAndNoneRunsTwiceWhileConnectionsAreLeft(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	var dialled atomic.Int64
	opt := rueidis.ClientOption{
		InitAddress: []string{"a:1"}, ForceSingleClient: true, DisableCache: true, PipelineMultiplex: -1, ConnWriteTimeout: 10 * time.Second,
		// Batches larger than this are written in parts.
		WriteBufferEachConn: 4096,
		DialCtxFn: func(ctx context.Context, _ string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			dialled.Add(1)
			return d.DialContext(ctx, "tcp", server.Addr())
		},
	}
	d := dialer.New(opt)
	client, err := NewClient(d.ClientOption(0))
	require.NoError(t, err)
	defer client.Close()

	const each, large = 500, 100
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // so that single calls are synchronous
	defer cancel()
	var sent atomic.Int64
	var group, leaver sync.WaitGroup
	incr := func(worker int) rueidis.Completed {
		sent.Add(1)
		return client.B().Incrby().Key(fmt.Sprint("k", worker)).Increment(1).Build()
	}
	for worker := range 3 {
		group.Go(func() { // one after the other
			for range each {
				require.NoError(t, client.Do(ctx, incr(worker)).Error())
			}
		})
	}
	for worker := range 2 {
		group.Go(func() { // in batches that fill the buffer several times
			filler := strings.Repeat("x", 200)
			for range each / 10 {
				var batch []rueidis.Completed
				for range large {
					batch = append(batch, incr(worker), client.B().Set().Key("filler").Value(filler).Build())
				}
				for _, r := range client.DoMulti(ctx, batch...) {
					require.NoError(t, r.Error())
				}
			}
		})
	}
	group.Go(func() { // blocked
		for range each / 10 {
			read := client.B().Blpop().Key("nothing").Timeout(0.01).Build()
			require.True(t, rueidis.IsRedisNil(client.Do(ctx, read).Error()))
		}
	})
	done := make(chan struct{})
	leaver.Go(func() {
		for i := 0; ; i++ {
			d.Follow("a:1", []string{"b:1", "c:1"}[i%2], time.Now(), time.Minute)
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	group.Wait()
	close(done)
	leaver.Wait()
	var ran int64
	for worker := range 3 {
		n, err := client.Do(ctx, client.B().Get().Key(fmt.Sprint("k", worker)).Build()).AsInt64()
		require.NoError(t, err)
		ran += n
	}
	require.Equal(t, sent.Load(), ran)
	require.Greater(t, dialled.Load(), int64(20), "connections were left")
	t.Logf("%d commands on %d connections", ran, dialled.Load())
}
