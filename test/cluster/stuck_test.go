package cluster

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/servers"
)

// name is one that stands for a server, and later for another one, as in front of many managed services.
type name struct {
	mu sync.Mutex
	of *servers.Server
}

func (n *name) set(s *servers.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of = s
}

func (n *name) option() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: []string{"name:6379"}, DisableCache: true,
		PipelineMultiplex: -1, // one connection, made at the start
		DialCtxFn: func(ctx context.Context, _ string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			n.mu.Lock()
			addr := n.of.Addr()
			n.mu.Unlock()
			return d.DialContext(ctx, "tcp", addr)
		},
	}
}

// standalone is a world on a master with a replica, behind a name, without a cluster.
func standalone(t *testing.T) (w *world, n *name, master, replica *servers.Server) {
	master = servers.New(t)
	replica = servers.New(t, servers.ReplicaOf(master))
	n = &name{of: master}
	layout, err := cluster.NewLayout("stuck", partitions)
	require.NoError(t, err)
	w = &world{t: t, service: "stuck", layout: layout, client: master.Client(t), clock: overlap.NewClock()}
	t.Cleanup(func() {
		for _, p := range w.all {
			p.end()
		}
	})
	return w, n, master, replica
}

// demote has master and replica change places, and the name stand for the new master. Connections to the old one stay.
func (w *world) demote(n *name, master, replica *servers.Server) {
	w.inStep(master, replica)
	w.step("demotion", func(ctx context.Context) error {
		if err := replica.Promote(ctx); err != nil {
			return err
		}
		n.set(replica)
		w.client = replica.Client(w.t)
		return master.Follow(ctx, replica)
	})
}

// The server is demoted, and connections to it stay: a client goes on talking to it for ever. An engine with clients of its
// own gets away from it, in time to keep what it holds.
func TestOpenGetsAwayFromADemotedServer(t *testing.T) {
	w, n, master, replica := standalone(t)
	p := w.newParty("a")
	e, err := engine.Open(n.option(), w.service, p.options(ttl(longSession))...)
	require.NoError(t, err)
	w.run(p, e)
	all := names(0, 200)
	w.announce(all...)
	w.awaitOwned(all...)
	before := w.leases()
	w.demote(n, master, replica)
	began := time.Now()
	w.eventually(func() bool { return p.heard(api.EventSettlingStarted) > 0 }, "the new server to be found")
	t.Logf("found after %v", time.Since(began).Round(time.Millisecond))
	w.eventually(func() bool { return p.ready() == nil }, "the engine to be ready")
	for _, l := range before {
		require.Positive(t, l.Remaining())
	}
	require.Empty(t, p.lost())
	w.finish()
}

// An engine that was given its client cannot do that. It says so, in Ready and in the log, and what to do; nobody holds
// anything any more when the deadlines are past.
func TestNewSaysThatItIsStuck(t *testing.T) {
	w, n, master, replica := standalone(t)
	client, err := rueidis.NewClient(n.option())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	p := w.joinOn("a", client, ttl(shortSession)...)
	all := names(0, 50)
	w.announce(all...)
	w.awaitOwned(all...)
	w.demote(n, master, replica)
	const stuck = "talks to a server that was demoted"
	w.eventually(func() bool { return p.logged(stuck) }, "the log to tell")
	w.eventually(func() bool { return len(p.held()) == 0 }, "nothing to be held")
	require.ErrorIs(t, p.ready(), api.ErrNotReady)
	require.ErrorContains(t, p.ready(), stuck)
	require.ErrorContains(t, p.ready(), "use Open")

	// The remedy.
	again := w.joinOn("b", w.client, ttl(shortSession)...)
	w.awaitOwned(all...)
	require.Len(t, again.held(), len(all))
	w.finish()
}

// Who knows before the engine does can say so.
func TestResetTopology(t *testing.T) {
	w := newWorld(t)
	p := w.join("a", engine.WithCluster(cluster.Config{PollInterval: cluster.MaxPollInterval}))
	all := names(0, 100)
	w.announce(all...)
	w.awaitOwned(all...)
	renewals := p.metric(t, "renewals_total", "result", "kept")
	p.engine.ResetTopology()
	w.eventually(func() bool { return p.heard(api.EventTopologyChanged) == 1 }, "a look at all")
	require.EqualValues(t, w.layout.Partitions(), p.metric(t, "partitions_relocated_total"))
	w.eventually(func() bool {
		return p.metric(t, "renewals_total", "result", "kept") >= renewals+float64(len(all))
	},
		"all leases to be renewed, long before their time")
	w.finish()
}
