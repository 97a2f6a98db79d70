package preflight

import (
	"fmt"

	"github.com/streamlease/streamlease/lease"
)

// reach reports nodes that do not answer, or do not say much.
func (c *check) reach() {
	for _, n := range c.nodes {
		switch {
		case n.err != nil:
			severity := Fatal
			if len(c.nodes) > 1 {
				severity = Warning // a replica, or a master: if that has partitions, unreached reports it as fatal
			}
			c.add(severity, Reach, n.addr, "no answer: "+lease.Explain(n.err).Error(), "Check the server and the network on the way to it")
		case !n.known():
			c.add(Note, Reach, n.addr, "INFO is refused, so version, memory, persistence and replicas are unknown", "")
		}
	}
}

// unreached reports masters that serve partitions and do not answer.
func (c *check) unreached() {
	for _, n := range c.nodes {
		if n.err == nil {
			continue
		}
		for i, master := range c.masters {
			if master == n.addr && c.Spread.OnMaster[i] > 0 {
				c.add(Fatal, Reach, n.addr, fmt.Sprintf("no answer from the master of %d partitions", c.Spread.OnMaster[i]), "Check it, or wait for a replica to take over")
			}
		}
	}
}
