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

// While a member lives, in whatever partition, nothing is deleted or moved, and the record stays as it is.
func TestRunningServiceIsNotTouched(t *testing.T) {
	for _, p := range []int{0, 3} {
		o := newOffice(t, 4)
		o.furnish(2)
		o.open(p, "alive.1")
		before := o.keys()
		record := o.Do("HGETALL", o.layout.Meta())
		_, err := o.inspector().DeleteService(o.ctx, nil)
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.ErrorContains(t, err, "alive.1")
		_, err = o.inspector().Repartition(o.ctx, 8, nil)
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.Equal(t, before, o.keys())
		require.Equal(t, record.String(), func() string { m := o.Do("HGETALL", o.layout.Meta()); return m.String() }())
		require.NoError(t, o.leases.Agree(o.ctx))
	}
}

// A member comes between the look and the record: it is found by the second look, and the record is taken back.
func TestMemberThatComesMeanwhileStopsIt(t *testing.T) {
	o := newOffice(t, 4)
	want := o.furnish(2)
	for _, delete := range []bool{true, false} {
		client := &flaky{Client: o.Client, before: func(script string) error {
			if script == "stop" {
				o.Do("ZADD", o.layout.Keys(2).Sessions, strconv.FormatInt(o.Now()+60_000, 10), "late.1")
			}
			return nil
		}}
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
		require.NoError(t, err)
		if delete {
			_, err = i.DeleteService(o.ctx, nil)
		} else {
			_, err = i.Repartition(o.ctx, 2, nil)
		}
		require.ErrorIs(t, err, scan.ErrServiceRunning)
		require.NoError(t, o.leases.Agree(o.ctx), "as before")
		require.Equal(t, "", o.Text("HGET", o.layout.Meta(), "state"))
		o.stop()
	}
	_, err := o.inspector().Repartition(o.ctx, 4, nil)
	require.NoError(t, err)
	require.Equal(t, want, o.found(o.layout))
}

// On a cluster partitions and their keys are on several masters.
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
