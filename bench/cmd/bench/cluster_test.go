package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// TestMeasurementsRunOnACluster of which they know one node, and leave nothing on any.
func TestMeasurementsRunOnACluster(t *testing.T) {
	parallel(t)
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	url := "redis://" + c.Nodes()[0].Addr()
	for _, args := range [][]string{
		{"compare", "-streams", "100", "-ttl", "1s", "-for", "1s", "-rounds", "1"},
		{"failover", "-streams", "300", "-pods", "2", "-session-ttl", "2s"},
		{"churn", "-rates", "500", "-for", "500ms"},
		{"pipeline", "-streams", "300", "-batches", "256", "-ticks", "100ms", "-for", "300ms"},
		{"soak", "-for", "1s", "-pods", "2", "-partitions", "4", "-streams", "20", "-session-ttl", "500ms", "-lease-ttl", "1s"},
	} {
		out, err := bench(t, append(args, "-redis", url)...)
		require.NoError(t, err, out)
		for _, node := range c.Nodes() {
			client := node.Client(t)
			keys, err := client.Do(context.Background(), client.B().Dbsize().Build()).AsInt64()
			require.NoError(t, err)
			require.Zero(t, keys, "keys left by %v", args)
		}
	}
}
