package preflight_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

func TestOnACluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	ctx := context.Background()
	client := c.Client(t)
	look := func(partitions int) *preflight.Report {
		r, err := preflight.Check(ctx, client, terms(t, partitions))
		require.NoError(t, err)
		return r
	}
	r := look(1)
	require.NoError(t, r.Err())
	found(t, r, preflight.Note, preflight.Topology, "3 masters with slots")
	found(t, r, preflight.Note, preflight.Layout, "2 of 3 masters have no partition", "is spread well")
	require.Len(t, found(t, r, preflight.Warning, preflight.Replicas, "without a replica").Nodes, 3)
	found(t, r, preflight.Note, preflight.Clock, "apart")
	found(t, look(2), preflight.Warning, preflight.Layout, "masters have no partition", "reshard")

	// Following the advice ends the warning.
	s := look(48)
	require.NoError(t, s.Err())
	require.Zero(t, s.Spread.Idle())

	// A client that takes a cluster node for a single server.
	alone := c.Nodes()[0].Client(t)
	r, err := preflight.Check(ctx, alone, terms(t, 1))
	require.NoError(t, err)
	found(t, r, preflight.Fatal, preflight.Topology, "takes it for a single server", "ForceSingleClient")

	// A master that hangs.
	require.NoError(t, c.Nodes()[1].Pause())
	r = look(48)
	require.NoError(t, c.Nodes()[1].Resume())
	require.ErrorContains(t, r.Err(), "no answer from the master of")
	require.Equal(t, []string{c.Nodes()[1].Addr()}, found(t, r, preflight.Fatal, preflight.Reach, "partitions").Nodes)
}

func TestBehindSentinel(t *testing.T) {
	s := servers.NewSentinel(t, servers.SentinelOptions{})
	client := s.Client(t)
	require.Eventually(t, func() bool {
		r, err := preflight.Check(context.Background(), client, terms(t, 1))
		require.NoError(t, err)
		return r.Err() == nil && strings.Contains(r.String(), "found by Sentinel") && strings.Contains(r.String(), "min-replicas-to-write")
	}, time.Minute, 10*time.Millisecond)

	// The Sentinel itself, taken for a server.
	r, err := preflight.Check(context.Background(), s.Sentinels()[0].Client(t), terms(t, 1))
	require.NoError(t, err)
	found(t, r, preflight.Fatal, preflight.Topology, "Sentinel.MasterSet")
}
