package preflight

import (
	"context"

	"github.com/redis/rueidis"
)

// Check checks the servers behind a client once. It takes some round trips to each node, and a few timeouts if nodes do not answer.
// Its error is ctx's; everything else is in the report.
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
	c.reads(ctx)
	c.finish()
	return c.Report, ctx.Err()
}
