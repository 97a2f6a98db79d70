package preflight

import (
	"context"
	"net"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// slots are which master of a cluster serves which slot.
type slots struct {
	masters  []string // addresses
	owner    [cluster.Slots]int16
	replicas []int // of each master
}

func (s *slots) of(slot uint16) int { return int(s.owner[slot]) }

// findSlots asks one node after the other until one answers.
func (c *check) findSlots(ctx context.Context) {
	for _, n := range c.nodes {
		if n.err != nil {
			continue
		}
		ranges, err := n.ask(ctx, c.Terms, "CLUSTER", "SLOTS").ToArray()
		if err == nil {
			c.slots = parseSlots(ranges)
			return
		}
	}
	c.add(Note, Topology, "", "no node answers CLUSTER SLOTS, so which master serves which partition is unknown", "Grant +cluster|slots")
}

func parseSlots(ranges []rueidis.RedisMessage) *slots {
	s := &slots{}
	for i := range s.owner {
		s.owner[i] = -1
	}
	index := map[string]int{}
	for _, r := range ranges {
		parts, err := r.ToArray()
		if err != nil || len(parts) < 3 {
			continue
		}
		first, err1 := parts[0].AsInt64()
		last, err2 := parts[1].AsInt64()
		master, err3 := parts[2].ToArray()
		if err1 != nil || err2 != nil || err3 != nil || len(master) < 3 {
			continue
		}
		addr := endpoint(master)
		at, seen := index[addr]
		if !seen {
			at = len(s.masters)
			index[addr] = at
			s.masters = append(s.masters, addr)
			s.replicas = append(s.replicas, len(parts)-3)
		}
		for slot := max(first, 0); slot <= min(last, cluster.Slots-1); slot++ {
			s.owner[slot] = int16(at)
		}
	}
	return s
}

// endpoint is the address of a node in an answer to CLUSTER SLOTS.
func endpoint(node []rueidis.RedisMessage) string {
	host, _ := node[0].ToString()
	port, _ := node[1].AsInt64()
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
