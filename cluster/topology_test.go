package cluster_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
)

// answer makes a server produce an answer.
func answer(t *testing.T, client rueidis.Client, lua string) rueidis.RedisMessage {
	t.Helper()
	m, err := client.Do(context.Background(), client.B().Eval().Script("return "+lua).Numkeys(0).Build()).ToMessage()
	require.NoError(t, err)
	return m
}

func TestParseMap(t *testing.T) {
	client := servers.New(t).Client(t)
	m, err := cluster.ParseMap(answer(t, client, `{
		{ 0, 5, { 'a', 1, 'A', {} }, { 'a2', 1, 'A2' } },
		{ 6, 6, { '', 2, 'B' } },
		{ 100, 16383, { 'a', 1, 'A' } },
		{ 7, 8, { '::1', 3 } } }`), "asked:7000")
	require.NoError(t, err)
	masters := m.Masters()
	require.Len(t, masters, 3)
	require.Equal(t, "a:1", masters[0].Addr)
	require.Equal(t, "asked:2", masters[1].Addr, "no host: the one that was asked")
	require.Equal(t, "[::1]:3", masters[2].Addr)
	require.Empty(t, masters[2].ID, "old servers do not give it")
	require.Equal(t, 6+16284, masters[0].Slots.Len())
	for slot, want := range map[uint16]int{0: 0, 5: 0, 6: 1, 7: 2, 8: 2, 9: -1, 99: -1, 100: 0, 16383: 0} {
		require.Equal(t, want, m.Master(slot), slot)
	}
	for _, bad := range []string{
		`{}`, `'text'`, `{ { 0, 5 } }`, `{ { 5, 0, { 'a', 1 } } }`, `{ { -1, 0, { 'a', 1 } } }`, `{ { 0, 16384, { 'a', 1 } } }`,
		`{ { 0, 5, 'a' } }`, `{ { 0, 5, { 'a' } } }`, `{ { 0, 5, { 'a', 'b' } } }`, `{ { 'x', 5, { 'a', 1 } } }`,
	} {
		_, err := cluster.ParseMap(answer(t, client, bad), "asked:7000")
		require.Error(t, err, bad)
	}
}

func TestMoved(t *testing.T) {
	client := servers.New(t).Client(t)
	parse := func(lua string) *cluster.Map {
		m, err := cluster.ParseMap(answer(t, client, lua), "asked:7000")
		require.NoError(t, err)
		return m
	}
	before := parse(`{ { 0, 9, { 'a', 1, 'A' } }, { 10, 19, { 'b', 1, 'B' } } }`)
	for after, want := range map[string][2]uint16{ // first and last that moved
		`{ { 0, 9, { 'a', 1, 'A' } }, { 10, 19, { 'c', 1, 'C' } } }`: {10, 19}, // a failover
		`{ { 0, 4, { 'a', 1, 'A' } }, { 5, 19, { 'b', 1, 'B' } } }`:  {5, 9},   // a migration
		`{ { 0, 9, { 'x', 1, 'A' } }, { 10, 19, { 'b', 1, 'B' } } }`: {0, 9},   // the same node elsewhere
		`{ { 0, 29, { 'a', 1, 'A' } } }`:                             {10, 29}, // and slots without a master before
	} {
		moved := parse(after).Moved(before)
		require.Equal(t, int(want[1]-want[0])+1, moved.Len(), after)
		require.True(t, moved.Has(want[0]), after)
		require.True(t, moved.Has(want[1]), after)
	}
	same := parse(`{ { 10, 19, { 'b', 1, 'B' } }, { 0, 9, { 'a', 1, 'A' } } }`).Moved(before)
	require.Zero(t, same.Len())
	fewer := parse(`{ { 0, 9, { 'a', 1, 'A' } } }`).Moved(before)
	require.Zero(t, fewer.Len(), "there is no one to ask about slots without a master")
}

// A cluster is followed through a migration and the loss of a master, while one of its nodes hangs.
func TestTopology(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Node: servers.Options{Args: []string{"--cluster-require-full-coverage", "no"}}})
	client := c.Client(t)
	topology := cluster.NewTopology(client, time.Second)
	require.Nil(t, topology.Current())
	moved, err := topology.Look(t.Context())
	require.NoError(t, err)
	require.Zero(t, moved.Len(), "the first look shows no change")
	require.Len(t, topology.Current().Masters(), 3)

	replicas, err := c.Replicas(t.Context(), c.Nodes()[0])
	require.NoError(t, err)
	require.NoError(t, replicas[0].Pause())
	t.Cleanup(func() { _ = replicas[0].Resume() })

	const slot = 42
	to := c.Nodes()[1]
	m, err := c.BeginMove(t.Context(), slot, to)
	require.NoError(t, err)
	require.NoError(t, m.Finish(t.Context()))
	seen := func(owner *servers.Server, slot uint16) {
		t.Helper()
		var all cluster.SlotSet
		require.Eventually(t, func() bool {
			moved, err := topology.Look(t.Context())
			for i := range moved {
				all[i] |= moved[i]
			}
			now := topology.Current()
			return err == nil && now.Master(slot) >= 0 && now.Masters()[now.Master(slot)].Addr == owner.Addr()
		}, time.Minute, 10*time.Millisecond)
		require.True(t, all.Has(slot))
	}
	seen(to, slot)

	last := c.Nodes()[2]
	require.NoError(t, last.Kill())
	owner, err := c.AwaitOwner(t.Context(), 16383, last)
	require.NoError(t, err)
	seen(owner, 16383)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	before := topology.Current()
	_, err = topology.Look(ended)
	require.Error(t, err)
	require.Same(t, before, topology.Current(), "without an answer nothing changes")
}

// A client that gets no error does not ask for the topology; it can be made to.
func TestRefresh(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	client := c.Client(t)
	asked := func() (n int64) {
		for _, s := range c.Nodes() {
			stats, err := s.CommandStats(t.Context())
			require.NoError(t, err)
			n += stats["cluster|slots"].Calls + stats["cluster"].Calls // the latter before Redis 7.0
		}
		return n
	}
	before := asked()
	require.NoError(t, cluster.Refresh(t.Context(), client))
	require.Eventually(t, func() bool { return asked() > before }, time.Minute, 10*time.Millisecond)

	// Servers count errors by their first word, and so does whoever watches them.
	stats := ""
	for _, node := range client.Nodes() {
		text, err := node.Do(t.Context(), node.B().Info().Section("errorstats").Build()).ToString()
		require.NoError(t, err)
		stats += text
	}
	require.Contains(t, stats, "errorstat_CLUSTERDOWN:")
	require.NotContains(t, stats, "errorstat_CLUSTERDOWN,")
}

// A name is moved from one server to another: an open connection does not notice, a new client does.
func TestClientIsMadeAnew(t *testing.T) {
	first, second := servers.New(t), servers.New(t)
	behind := make(chan string, 1)
	behind <- first.Addr()
	client, err := cluster.NewClient(rueidis.ClientOption{
		InitAddress: []string{"name:1"}, DisableCache: true, ForceSingleClient: true,
		PipelineMultiplex: -1, // one connection, made at the start
		DialCtxFn: func(ctx context.Context, _ string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			addr := <-behind
			behind <- addr
			return d.DialContext(ctx, "tcp", addr)
		},
	})
	require.NoError(t, err)
	defer client.Close()
	set := func() error {
		return client.Do(t.Context(), client.B().Incr().Key("n").Build()).Error()
	}
	count := func(s *servers.Server) int64 {
		stats, err := s.CommandStats(t.Context())
		require.NoError(t, err)
		return stats["incr"].Calls
	}
	require.NoError(t, set())
	<-behind
	behind <- second.Addr()
	require.NoError(t, set())
	require.EqualValues(t, 2, count(first))

	// Calls go on during the replacement, and none that was sent is lost.
	ended := make(chan error)
	go func() {
		var err error
		for range 200 {
			if e := set(); e != nil && e != rueidis.ErrClosing {
				err = e
			}
		}
		ended <- err
	}()
	require.NoError(t, client.Redial())
	require.NoError(t, <-ended)
	require.NoError(t, set())
	require.Positive(t, count(second))

	<-behind
	behind <- "127.0.0.1:1"
	require.Error(t, client.Redial())
	require.NoError(t, set(), "the old client is kept")
	client.Close()
	require.ErrorIs(t, client.Redial(), rueidis.ErrClosing)
}

func TestConfig(t *testing.T) {
	require.NoError(t, cluster.Config{}.Validate())
	require.Equal(t, cluster.Config{PollInterval: cluster.DefaultPollInterval}, cluster.Config{}.WithDefaults())
	for _, d := range []time.Duration{-1, cluster.MinPollInterval - 1, cluster.MaxPollInterval + 1} {
		require.ErrorContains(t, cluster.Config{PollInterval: d}.Validate(), "Config.PollInterval is "+d.String())
	}
}
