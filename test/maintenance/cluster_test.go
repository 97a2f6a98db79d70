package maintenance

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

// lead makes a node of a cluster name a front as its address.
func lead(t *testing.T, node *servers.Server, f *front) {
	t.Helper()
	_, port, err := net.SplitHostPort(f.addr())
	require.NoError(t, err)
	_, err = node.Call(context.Background(), "CONFIG", "SET", "cluster-announce-port", port)
	require.NoError(t, err)
}

// names reports whether every node of the cluster gives exactly these fronts as addresses.
func names(t *testing.T, nodes []*servers.Server, fronts []*front) bool {
	t.Helper()
	for _, node := range nodes {
		client := node.Client(t)
		slots, err := client.Do(context.Background(), client.B().ClusterSlots().Build()).ToArray()
		require.NoError(t, err)
		known := make(map[string]bool)
		for _, r := range slots {
			parts, err := r.ToArray()
			require.NoError(t, err)
			master, err := parts[2].ToArray()
			require.NoError(t, err)
			port, err := master[1].AsInt64()
			require.NoError(t, err)
			known[net.JoinHostPort("127.0.0.1", strconv.FormatInt(port, 10))] = true
		}
		for _, f := range fronts {
			if !known[f.addr()] || len(known) != len(fronts) {
				return false
			}
		}
	}
	return true
}

// Each master of a cluster moves, one soon after the other. What they announce is followed while the map still names the old
// addresses, which go away as announced; then the map names the new ones. A node that announces what concerns another one leads
// nobody astray.
func TestMastersThatMoveAreFollowed(t *testing.T) {
	t.Parallel()
	c := servers.NewCluster(t, servers.ClusterOptions{Masters: 3, Replicas: -1})
	nodes := c.Nodes()
	info, err := nodes[0].Info(t.Context(), "server")
	require.NoError(t, err)
	if strings.HasPrefix(info["redis_version"], "6.") {
		t.Skip("NOT RUN before Redis 7.0: a node goes on giving its first port as its own")
	}
	before, after := make([]*front, 3), make([]*front, 3)
	for i, node := range nodes {
		before[i], after[i] = newFront(t, node.Addr()), newFront(t, node.Addr())
		lead(t, node, before[i])
	}
	eventually(t, "the cluster gives the fronts as addresses", func() bool { return names(t, nodes, before) })
	opt := rueidis.ClientOption{InitAddress: []string{before[0].addr(), before[1].addr(), before[2].addr()}}
	producer, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: opt.InitAddress, DisableCache: true})
	require.NoError(t, err)
	defer producer.Close()
	registry := prometheus.NewRegistry()
	gauge := func() float64 {
		n, _ := telemetry.Sum(t, registry, "maintenance_endpoints")
		return n
	}
	s := settleBy(t, opt, producer, engine.WithMaintenance(window), engine.WithRegisterer(registry))
	producer.Close()
	eventually(t, "notices are listened to", func() bool {
		return before[0].Listening() == 1 && before[1].Listening() == 1 && before[2].Listening() == 1
	})

	// Node 1 announces that it moves to where node 0 is.
	require.Equal(t, 1, before[1].Push(moving(6, 20, before[0].addr())))
	eventually(t, "it was followed", func() bool { return s.events.Count(api.EventServerMoved) == 1 })
	eventually(t, "that was wrong", func() bool { return s.log.Has("the endpoint refers to the address") })

	eventually(t, "notices are listened to again at each", func() bool {
		return before[0].Listening() == 1 && before[1].Listening() == 1 && before[2].Listening() == 1
	})

	began := time.Now()
	for i := range nodes {
		require.Equal(t, 1, before[i].Push(moving(7+i, 4, after[i].addr())))
		old := before[i]
		eventually(t, "it is followed", func() bool { return after[i].Listening() > 0 && old.clients() == 0 && after[i].clients() > 0 })
		old.kill()
	}
	s.outlive(began)
	require.Equal(t, 3.0, gauge())
	require.Equal(t, 4, s.events.Count(api.EventServerMoved))
	for i, node := range nodes {
		lead(t, node, after[i])
	}
	eventually(t, "the cluster gives the new addresses", func() bool { return names(t, nodes, after) })
	eventually(t, "the engine has no need of what was announced", func() bool { return gauge() == 0 })
	s.outlive(time.Now())
	require.Zero(t, s.lost())
	require.Zero(t, s.events.Count(api.EventSessionLost))
	s.kept()
}
