package scan_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// While a consumer is alive, in any partition, nothing is deleted or moved, and the record stays as it is.
func TestRunningServiceIsNotTouched(t *testing.T) {
	for _, p := range []int{0, 3} {
		f := newFleet(t, 4)
		f.populate(2)
		f.open(p, "alive.1")
		before := f.keys()
		record := f.Do("HGETALL", f.layout.Meta())
		_, err := f.inspector().DeleteService(f.ctx, nil)
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.ErrorContains(t, err, "alive.1")
		_, err = f.inspector().Repartition(f.ctx, 8, nil)
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.Equal(t, before, f.keys())
		require.Equal(t, record.String(), func() string { m := f.Do("HGETALL", f.layout.Meta()); return m.String() }())
		require.NoError(t, f.leases.Agree(f.ctx))
	}
}

// A consumer joins between the first check and the record: the second check finds it, and the record is taken back.
func TestConsumerThatJoinsMeanwhileStopsIt(t *testing.T) {
	f := newFleet(t, 4)
	want := f.populate(2)
	for _, delete := range []bool{true, false} {
		client := &flaky{Client: f.Client, before: func(script string) error {
			if script == "stop" {
				f.Do("ZADD", f.layout.Keys(2).Sessions, strconv.FormatInt(f.Now()+60_000, 10), "late.1")
			}
			return nil
		}}
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
		require.NoError(t, err)
		if delete {
			_, err = i.DeleteService(f.ctx, nil)
		} else {
			_, err = i.Repartition(f.ctx, 2, nil)
		}
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.NoError(t, f.leases.Agree(f.ctx), "as before")
		require.Equal(t, "", f.Text("HGET", f.layout.Meta(), "state"))
		f.endSessions()
	}
	_, err := f.inspector().Repartition(f.ctx, 4, nil)
	require.NoError(t, err)
	require.Equal(t, want, f.found(f.layout))
}

// On a cluster the partitions and their keys are on several masters.
func TestChangeOfAServiceOnACluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1, NodeTimeout: 5 * time.Second}) // no replicas: each node is asked for its DBSIZE
	client := c.Client(t)
	ctx := context.Background()
	layout := layoutOf(t, 4)
	run := lease.NewRunner(client, nil)
	require.NoError(t, lease.Agree(ctx, run, layout))
	for n := range 200 {
		s := fmt.Sprintf("s-%d", n)
		text, err := lease.EncodeAnnouncement(s, nil)
		require.NoError(t, err)
		k := layout.Keys(layout.Of(s))
		require.NoError(t, client.Do(ctx, client.B().Xadd().Key(k.Input).Id("*").FieldValue().FieldValue(lease.FieldAnnouncement, text).Build()).Error())
		require.NoError(t, client.Do(ctx, client.B().Hset().Key(k.Schedules).FieldValue().FieldValue(s, "7 row").Build()).Error())
		require.NoError(t, client.Do(ctx, client.B().Set().Key(k.Lease(s)).Value("dead.1 1 1-1").Build()).Error())
	}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	for _, n := range []int{16, 3} {
		_, err = i.Repartition(ctx, n, nil)
		require.NoError(t, err)
		s, err := i.Survey(ctx)
		require.NoError(t, err)
		require.Equal(t, n, s.Partitions)
		require.Equal(t, 200, s.Total().Announcements)
		require.Equal(t, 200, s.Total().Schedules)
		require.LessOrEqual(t, len(s.Contents), n)
	}
	s, err := i.Survey(ctx)
	require.NoError(t, err)
	require.Positive(t, s.Total().Leases+1)
	_, err = i.DeleteService(ctx, nil)
	require.NoError(t, err)
	s, err = i.Survey(ctx)
	require.NoError(t, err)
	require.Empty(t, s.Contents)
	require.Zero(t, s.Partitions)
	for addr, node := range client.Nodes() {
		size, err := node.Do(ctx, node.B().Dbsize().Build()).AsInt64()
		require.NoError(t, err)
		require.Zero(t, size, addr)
	}
}
