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

// alias is a host name that points to a server, and later to another one, as in front of many managed services.
type alias struct {
	mu sync.Mutex
	of *servers.Server
}

func (n *alias) set(s *servers.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of = s
}

func (n *alias) option() rueidis.ClientOption {
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

// standalone makes a harness on a master with a replica, behind an alias, without a cluster.
func standalone(t *testing.T) (h *harness, n *alias, master, replica *servers.Server) {
	master = servers.New(t)
	replica = servers.New(t, servers.ReplicaOf(master))
	n = &alias{of: master}
	layout, err := cluster.NewLayout("stuck", partitions)
	require.NoError(t, err)
	h = &harness{t: t, service: "stuck", layout: layout, client: master.Client(t), clock: overlap.NewClock()}
	t.Cleanup(func() {
		for _, m := range h.fleet {
			m.end()
		}
	})
	return h, n, master, replica
}

// demote swaps master and replica, and points the alias to the new master. Connections to the old one stay open.
func (h *harness) demote(n *alias, master, replica *servers.Server) {
	h.awaitInStep(master, replica)
	h.step("demotion", func(ctx context.Context) error {
		if err := replica.Promote(ctx); err != nil {
			return err
		}
		n.set(replica)
		h.client = replica.Client(h.t)
		return master.Follow(ctx, replica)
	})
}

// The server is demoted, and connections to it stay open: a client would keep using it forever. An engine with its own clients
// leaves it in time to keep what it holds.
func TestOpenGetsAwayFromADemotedServer(t *testing.T) {
	h, n, master, replica := standalone(t)
	m := h.newMember("a")
	e, err := engine.Open(n.option(), h.service, m.options(ttl(longSession))...)
	require.NoError(t, err)
	h.run(m, e)
	all := names(0, 200)
	h.announce(all...)
	h.awaitOwned(all...)
	before := h.leases()
	h.demote(n, master, replica)
	began := time.Now()
	h.eventually(func() bool { return m.events.Count(api.EventSettlingStarted) > 0 }, "the new server to be found")
	t.Logf("found after %v", time.Since(began).Round(time.Millisecond))
	h.eventually(func() bool { return m.ready() == nil }, "the engine to be ready")
	for _, l := range before {
		require.Positive(t, l.Remaining())
	}
	require.Empty(t, m.lost())
	h.finish()
}

// An engine that was given its client cannot do that. It says so, and what to do, in Ready and in the log; once the deadlines
// have passed nothing is held any more.
func TestNewReportsThatItIsStuck(t *testing.T) {
	h, n, master, replica := standalone(t)
	client, err := rueidis.NewClient(n.option())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	m := h.joinOn("a", client, ttl(shortSession)...)
	all := names(0, 50)
	h.announce(all...)
	h.awaitOwned(all...)
	h.demote(n, master, replica)
	const stuck = "talks to a server that was demoted"
	h.eventually(func() bool { return m.log.Has(stuck) }, "the log to say so")
	h.eventually(func() bool { return len(m.held()) == 0 }, "all leases to end")
	require.ErrorIs(t, m.ready(), api.ErrNotReady)
	require.ErrorContains(t, m.ready(), stuck)
	require.ErrorContains(t, m.ready(), "use Open")

	// The remedy.
	again := h.joinOn("b", h.client, ttl(shortSession)...)
	h.awaitOwned(all...)
	require.Len(t, again.held(), len(all))
	h.finish()
}

// A user who knows of a change before the engine does can say so.
func TestResetTopology(t *testing.T) {
	h := newHarness(t)
	m := h.join("a", engine.WithCluster(cluster.Config{PollInterval: cluster.MaxPollInterval}))
	all := names(0, 100)
	h.announce(all...)
	h.awaitOwned(all...)
	renewals := m.metric(t, "renewals_total", "result", "kept")
	m.engine.ResetTopology()
	h.eventually(func() bool { return m.events.Count(api.EventTopologyChanged) == 1 }, "the change of all partitions")
	require.EqualValues(t, h.layout.Partitions(), m.metric(t, "partitions_relocated_total"))
	h.eventually(func() bool {
		return m.metric(t, "renewals_total", "result", "kept") >= renewals+float64(len(all))
	},
		"all leases to be renewed long before they are due")
	h.finish()
}
