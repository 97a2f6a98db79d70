package preflight

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Terms are what an engine will ask of the servers. All but the switches must be set; engine.Preflight derives them from
// its options.
type Terms struct {
	Layout     *cluster.Layout
	LeaseTTL   time.Duration
	SessionTTL time.Duration
	Timeout    time.Duration // of one call

	Settle    bool // as WithSettle
	Hints     bool // as WithExpired
	SetEvents bool // as WithKeyspaceEvents
	Foreign   bool // as WithForeignConsumers
}

// patience is how long one question waits: people wait for the report, no lease does. A node that is that slow is found
// by its round trips.
func (t Terms) patience() time.Duration { return max(t.Timeout, minPatience) }

const minPatience = 2 * time.Second

// check is one look, while it goes on. Used by one goroutine.
type check struct {
	*Report
	Terms
	client rueidis.Client
	nodes  []*node

	// Of a cluster that says so; else nil.
	masters []string       // addresses of those with slots
	owners  cluster.Owners // by index of masters
}

// Check looks once. It takes some round trips to each node, and a few timeouts where nodes do not answer. Its error is
// the end of ctx; all else is in the report.
func Check(ctx context.Context, client rueidis.Client, t Terms) (*Report, error) {
	c := &check{Report: &Report{Service: t.Layout.Service()}, Terms: t, client: client}
	c.nodes = lookAll(ctx, client, t)
	c.reach()
	if client.Mode() == rueidis.ClientModeCluster {
		c.slots(ctx)
	}
	for _, n := range c.nodes {
		if n.known() {
			c.server(n)
			c.eviction(n)
			c.persistence(n)
			c.replicas(n)
			c.events(n)
		}
	}
	c.topology()
	c.clocks()
	c.latency()
	exists := c.layout(ctx)
	c.rights(ctx, exists)
	c.finish()
	return c.Report, ctx.Err()
}

func (c *check) reach() {
	for _, n := range c.nodes {
		switch {
		case n.err != nil:
			severity := Fatal
			if len(c.nodes) > 1 {
				severity = Warning // a replica, or a master whose partitions the layout tells of
			}
			c.add(severity, Reach, n.addr, "no answer: "+lease.Explain(n.err).Error(), "Look at the server and the way to it")
		case !n.known():
			c.add(Note, Reach, n.addr, "INFO is refused, so version, memory, persistence and replicas are unknown", "")
		}
	}
}

// slots asks the cluster who serves which slot.
func (c *check) slots(ctx context.Context) {
	topology := cluster.NewTopology(c.client, c.patience())
	if _, err := topology.Look(ctx); err != nil {
		c.add(Note, Topology, "", "which master serves which partition is unknown: "+lease.Explain(err).Error(), "")
		return
	}
	slots := topology.Current()
	c.owners = slots.Master
	for _, m := range slots.Masters() {
		c.masters = append(c.masters, m.Addr)
	}
}
