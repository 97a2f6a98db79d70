package preflight

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// slots asks the cluster which master serves which slot.
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

// topology reports what kind of installation it is, and whether the client talks to the servers that matter.
func (c *check) topology() {
	mode := c.client.Mode()
	for _, n := range c.nodes {
		if !n.known() {
			continue
		}
		inCluster := n.info["cluster_enabled"] == "1" || n.info["redis_mode"] == "cluster"
		switch {
		case n.info["redis_mode"] == "sentinel":
			c.add(Fatal, Topology, n.addr, "this is a Sentinel, which stores no streams", "Set Sentinel.MasterSet in the options of the client")
		case mode != rueidis.ClientModeCluster && inCluster:
			c.add(Fatal, Topology, n.addr, "a cluster node, but the client takes it for a single server", "Leave ForceSingleClient out of the options of the client")
		case mode != rueidis.ClientModeCluster && n.replica() && c.soleNode():
			c.add(Fatal, Topology, n.addr, "a read-only replica, which grants no leases", "Point the client at the master, or at Sentinels with Sentinel.MasterSet")
		}
	}
	switch {
	case mode == rueidis.ClientModeSentinel:
		c.add(Note, Topology, "", "found by Sentinel", "")
	case mode != rueidis.ClientModeCluster:
		c.add(Note, Topology, "", "one server, not a cluster", "")
	case c.owners != nil:
		c.add(Note, Topology, "", fmt.Sprintf("a cluster of %d masters with slots", len(c.masters)), "")
	}
}

// soleNode reports whether the client has no other node that it could ask.
func (c *check) soleNode() bool { return len(c.nodes) == 1 }
