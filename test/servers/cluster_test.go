package servers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
)

// keysOf returns n keys of one slot.
func keysOf(n int) (slot uint16, keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("{tag}%d", i))
	}
	return cluster.Slot("{tag}"), keys
}

// eventually waits until a client reads this value, which may need time to replicate.
func eventually(t *testing.T, c rueidis.Client, key, want string) {
	t.Helper()
	require.Eventually(t, func() bool {
		value, err := c.Do(context.Background(), c.B().Get().Key(key).Build()).ToString()
		return err == nil && value == want
	}, 30*time.Second, 5*time.Millisecond, "%s is %s", key, want)
}

func TestCluster(t *testing.T) {
	c := NewCluster(t, ClusterOptions{Node: Options{Password: "secret"}})
	client := c.Client(t)
	ctx := t.Context()

	t.Run("is whole when it is started", func(t *testing.T) {
		masters, err := c.Masters(ctx)
		require.NoError(t, err)
		require.Equal(t, c.Nodes()[:3], masters)
		for i, m := range masters {
			replicas, err := c.Replicas(ctx, m)
			require.NoError(t, err)
			require.Equal(t, []*Server{c.Nodes()[3+i]}, replicas)
			o, err := c.Owner(ctx, uint16(i*cluster.Slots/3))
			require.NoError(t, err)
			require.Equal(t, m, o)
			require.Len(t, c.ID(m), 40)
		}
		for i := range 100 {
			set(t, client, fmt.Sprint("spread", i), "v")
		}
		for _, s := range c.Nodes() {
			info, err := s.Info(ctx, "replication")
			require.NoError(t, err)
			require.Equal(t, s.Addr() == masters[0].Addr() || s.Addr() == masters[1].Addr() || s.Addr() == masters[2].Addr(),
				info["role"] == "master")
		}
	})

	t.Run("a slot migrates key by key and rests half-way", func(t *testing.T) {
		slot, keys := keysOf(10)
		for _, k := range keys {
			set(t, client, k, "v")
		}
		from, err := c.Owner(ctx, slot)
		require.NoError(t, err)
		to := c.Nodes()[0]
		if to == from {
			to = c.Nodes()[1]
		}
		_, err = c.BeginMove(ctx, slot, from)
		require.ErrorContains(t, err, "already")
		m, err := c.BeginMove(ctx, slot, to)
		require.NoError(t, err)
		require.Equal(t, from, m.From)
		require.NoError(t, m.Keys(ctx, keys[3], "{tag}absent"))
		moved, err := m.Some(ctx, 4)
		require.NoError(t, err)
		require.Equal(t, 4, moved)
		left, err := m.Left(ctx, 100)
		require.NoError(t, err)
		require.Len(t, left, 5)
		both := client.B().Del().Key(left[0], keys[3]).Build()
		require.ErrorContains(t, client.Do(ctx, both).Error(), "TRYAGAIN", "its keys are on both sides")
		for _, k := range keys {
			value, err := client.Do(ctx, client.B().Get().Key(k).Build()).ToString()
			require.NoError(t, err)
			require.Equal(t, "v", value, "found on either side")
		}

		require.NoError(t, m.Finish(ctx))
		require.NoError(t, c.AwaitReady(ctx))
		o, err := c.Owner(ctx, slot)
		require.NoError(t, err)
		require.Equal(t, to, o)
		for _, k := range keys {
			require.Equal(t, "v", get(t, to, k))
		}
		masters, err := c.Masters(ctx)
		require.NoError(t, err)
		require.Len(t, masters, 3)
	})

	for _, mode := range []FailoverMode{Graceful, Force, Takeover} {
		t.Run("failover "+string(mode), func(t *testing.T) {
			key := "failover" + string(mode)
			slot := cluster.Slot(key)
			set(t, client, key, "v")
			old, err := c.Owner(ctx, slot)
			require.NoError(t, err)
			replicas, err := c.Replicas(ctx, old)
			require.NoError(t, err)
			require.Len(t, replicas, 1)
			require.NoError(t, AwaitInStep(ctx, old, replicas[0]))
			require.NoError(t, c.Failover(ctx, replicas[0], mode))
			require.NoError(t, c.AwaitReady(ctx))
			o, err := c.Owner(ctx, slot)
			require.NoError(t, err)
			require.Equal(t, replicas[0], o)
			replicas, err = c.Replicas(ctx, o)
			require.NoError(t, err)
			require.Equal(t, []*Server{old}, replicas)
			eventually(t, client, key, "v")
		})
	}

	for name, end := range map[string]struct{ down, up func(*Server) error }{
		"a master that is killed is replaced and comes back as a replica": {
			(*Server).Kill, func(s *Server) error { return s.Restart(ctx, false) }},
		"a master that hangs is replaced and comes back as a replica": {(*Server).Pause, (*Server).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			slot := cluster.Slot(name)
			set(t, client, name, "v")
			old, err := c.Owner(ctx, slot)
			require.NoError(t, err)
			require.NoError(t, end.down(old))
			o, err := c.AwaitOwner(ctx, slot, old)
			require.NoError(t, err)
			require.NoError(t, c.AwaitReady(ctx))
			masters, err := c.Masters(ctx)
			require.NoError(t, err)
			require.Len(t, masters, 3)
			require.NotContains(t, masters, old)

			require.NoError(t, end.up(old))
			require.Eventually(t, func() bool {
				replicas, err := c.Replicas(ctx, o)
				return err == nil && len(replicas) == 1 && replicas[0] == old
			}, 60*time.Second, 20*time.Millisecond)
			require.NoError(t, c.AwaitReady(ctx))
		})
	}
}

func TestClusterWithoutReplicas(t *testing.T) {
	c := NewCluster(t, ClusterOptions{Replicas: -1, NodeTimeout: 5 * time.Second, Node: Options{Args: []string{"--maxmemory", "5mb"}}})
	require.Len(t, c.Nodes(), 3)
	require.Equal(t, "5000", config(t, c.Nodes()[2].Client(t), "cluster-node-timeout"))
	require.NotEqual(t, "0", config(t, c.Nodes()[2].Client(t), "maxmemory"))
	for _, s := range c.Nodes() {
		require.False(t, claimPort(s.Port()))
		require.False(t, listenable(s.Port()+busOffset), "the bus")
	}
	require.NoError(t, c.Stop())
	require.NoError(t, c.Stop())
	for _, s := range c.Nodes() {
		require.False(t, running(s.PID()))
		require.NoDirExists(t, s.Dir())
	}
	_, err := c.Owner(t.Context(), 0)
	require.ErrorContains(t, err, "no node has slot 0")
	_, err = c.Masters(t.Context())
	require.Error(t, err)
}

func TestClusterThatCannotBeFormedLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	_, err := StartCluster(t.Context(), ClusterOptions{Node: Options{Args: []string{"--cluster-enabled", "no"}}})
	require.ErrorContains(t, err, "cluster support disabled")
	requireEmpty(t, tmp)
	_, err = StartCluster(t.Context(), ClusterOptions{Node: Options{Args: []string{"--no-such-directive", "1"}}})
	require.ErrorIs(t, err, errExited)
	requireEmpty(t, tmp)
	_, err = StartCluster(t.Context(), ClusterOptions{Node: Options{Dir: tmp}})
	require.Error(t, err)
}

func TestParseMember(t *testing.T) {
	m, err := parseMember("07c3 127.0.0.1:30004@31004,host myself,slave e7d1 0 1426238317239 4 connected")
	require.NoError(t, err)
	require.Equal(t, &member{id: "07c3", master: "e7d1", flags: []string{"myself", "slave"}, epoch: 4, link: true}, m)
	m, err = parseMember("e7d1 127.0.0.1:30001@31001 master - 0 0 1 disconnected 0-5 7 [93-<-07c3] [94->-07c3]")
	require.NoError(t, err)
	for slot, has := range map[uint16]bool{0: true, 5: true, 6: false, 7: true, 8: false, 93: false} {
		require.Equal(t, has, m.has(slot), "slot %d", slot)
	}
	require.False(t, m.link)
	for _, line := range []string{"", "e7d1 127.0.0.1:30001@31001 master", "e7d1 127.0.0.1:30001@31001 master - 0 0 one connected"} {
		_, err = parseMember(line)
		require.Error(t, err, "%q", line)
	}
}
