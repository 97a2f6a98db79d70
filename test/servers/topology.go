package servers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// viewLimit bounds how long one node may take to report its view; one that was stopped from outside never answers.
const viewLimit = 2 * time.Second

// view is the cluster as one node sees it.
type view struct {
	node    *Server
	self    *member
	members map[string]*member // by ID
	ok      bool               // cluster_state
	linked  bool               // it is a replica that is in step with its master
	hand    bool               // some node is not known yet, or not any more
}

// member is a line of CLUSTER NODES.
type member struct {
	id     string
	master string // the ID of its master, "-" for none
	flags  []string
	epoch  int64
	link   bool
	slots  []string // 5 or 5-10
}

func (m *member) is(flag string) bool { return slices.Contains(m.flags, flag) }

func (m *member) has(slot uint16) bool {
	return slices.ContainsFunc(m.slots, func(text string) bool {
		from, to, found := strings.Cut(text, "-")
		if !found {
			to = from
		}
		first, _ := strconv.Atoi(from)
		last, _ := strconv.Atoi(to)
		return first <= int(slot) && int(slot) <= last
	})
}

// parseMember parses a line of CLUSTER NODES; migrating slots, in brackets, are ignored.
func parseMember(line string) (*member, error) {
	fields := strings.Fields(line)
	const fixed = 8
	if len(fields) < fixed {
		return nil, fmt.Errorf("servers: malformed line of CLUSTER NODES %q", line)
	}
	epoch, err := strconv.ParseInt(fields[6], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("servers: malformed line of CLUSTER NODES %q: %w", line, err)
	}
	m := &member{id: fields[0], flags: strings.Split(fields[2], ","), master: fields[3], epoch: epoch, link: fields[7] == "connected"}
	for _, slots := range fields[fixed:] {
		if !strings.HasPrefix(slots, "[") {
			m.slots = append(m.slots, slots)
		}
	}
	return m, nil
}

// look asks a node for its view.
func look(ctx context.Context, s *Server) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, viewLimit)
	defer cancel()
	info, err := s.Call(ctx, "CLUSTER", "INFO")
	if err != nil {
		return nil, err
	}
	text, err := s.Call(ctx, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	v := &view{node: s, ok: strings.Contains(info, "cluster_state:ok"), members: make(map[string]*member)}
	for line := range strings.Lines(text) {
		m, err := parseMember(line)
		if err != nil {
			return nil, err
		}
		v.hand = v.hand || m.is("handshake") || m.is("noaddr")
		v.members[m.id] = m
		if m.is("myself") {
			v.self = m
		}
	}
	if v.self == nil {
		return nil, fmt.Errorf("servers: %s does not know itself", s.Addr())
	}
	if v.self.is("slave") {
		replication, err := s.Info(ctx, "replication")
		if err != nil {
			return nil, err
		}
		v.linked = replication["master_link_status"] == "up"
	}
	return v, nil
}

// views returns the views of all nodes that run and are not paused.
func (c *Cluster) views(ctx context.Context) (all []*view, err error) {
	for _, s := range c.nodes {
		if !s.answers() {
			continue
		}
		v, lookErr := look(ctx, s)
		if lookErr != nil {
			err = errors.Join(err, fmt.Errorf("servers: node %s: %w", s.Addr(), lookErr))
			continue
		}
		all = append(all, v)
	}
	return all, err
}

// await polls until all running nodes answer and the check finds nothing wrong.
func (c *Cluster) await(ctx context.Context, check func([]*view) error) error {
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	var last error
	err := poll(ctx, func() bool {
		views, err := c.views(ctx)
		if err == nil {
			err = check(views)
		}
		if ctx.Err() == nil {
			last = err
		}
		return err == nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// AwaitReady waits until every running node reports the cluster as ok, considers no other running node failed, agrees with the
// others on the owners of the slots, and is in step with its master if it is a replica of a running one.
func (c *Cluster) AwaitReady(ctx context.Context) error { return c.await(ctx, settled) }

// allKnown checks that every node knows every other one.
func allKnown(views []*view) error {
	for _, v := range views {
		if v.hand || len(v.members) != len(views) {
			return fmt.Errorf("servers: %s knows %d nodes of %d", v.node.Addr(), len(v.members), len(views))
		}
	}
	return nil
}

// rolesAre checks that this many nodes have slots, and that all others are replicas.
func rolesAre(views []*view, masters int) error {
	n := 0
	for _, v := range views {
		if v.self.is("master") && len(v.self.slots) > 0 {
			n++
		} else if !v.self.is("slave") {
			return fmt.Errorf("servers: %s is neither a master with slots nor a replica", v.node.Addr())
		}
	}
	if n != masters {
		return fmt.Errorf("servers: %d masters, not %d", n, masters)
	}
	return nil
}

// settled is what AwaitReady waits for.
func settled(views []*view) error {
	running := make(map[string]*view)
	for _, v := range views {
		running[v.self.id] = v
	}
	for _, v := range views {
		if !v.ok {
			return fmt.Errorf("servers: %s reports that the cluster is down", v.node.Addr())
		}
		if running[v.self.master] != nil && !v.linked {
			return fmt.Errorf("servers: %s is not in step with its master", v.node.Addr())
		}
		for id, other := range running {
			m := v.members[id]
			if m == nil || m.is("fail") || m.is("fail?") || m.is("handshake") || !m.link && m != v.self {
				return fmt.Errorf("servers: %s has no working link to %s", v.node.Addr(), other.node.Addr())
			}
			if m.master != other.self.master || !slices.Equal(m.slots, other.self.slots) {
				return fmt.Errorf("servers: %s does not know what %s is now", v.node.Addr(), other.node.Addr())
			}
		}
	}
	return nil
}

// owner returns the view of the master of a slot, among those that answer. If two claim the slot the one with the greater epoch is
// right, and the other does not know yet.
func owner(views []*view, slot uint16) *view {
	claims := slices.DeleteFunc(slices.Clone(views), func(v *view) bool { return !v.self.is("master") || !v.self.has(slot) })
	if len(claims) == 0 {
		return nil
	}
	return slices.MaxFunc(claims, func(a, b *view) int { return cmp.Compare(a.self.epoch, b.self.epoch) })
}

// Owner returns the master of a slot among the running nodes, and an error if there is none.
func (c *Cluster) Owner(ctx context.Context, slot uint16) (*Server, error) {
	views, err := c.views(ctx)
	if v := owner(views, slot); v != nil {
		return v.node, nil
	}
	return nil, errors.Join(fmt.Errorf("servers: no node has slot %d", slot), err)
}

// Masters returns the running nodes that have slots, in the order of Nodes. A node that lost its slots and does not know it yet is
// not among them.
func (c *Cluster) Masters(ctx context.Context) ([]*Server, error) {
	views, err := c.views(ctx)
	found := make(map[*Server]bool)
	for _, v := range views {
		for _, slots := range v.self.slots {
			first, _, _ := strings.Cut(slots, "-")
			n, _ := strconv.Atoi(first)
			if o := owner(views, uint16(n)); o != nil {
				found[o.node] = true
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.Join(errors.New("servers: no node has slots"), err)
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b *Server) int {
		return slices.Index(c.nodes, a) - slices.Index(c.nodes, b)
	}), nil
}

// Replicas returns the running replicas of this node, which need not run, in the order of Nodes.
func (c *Cluster) Replicas(ctx context.Context, master *Server) ([]*Server, error) {
	views, err := c.views(ctx)
	var found []*Server
	for _, v := range views {
		if v.self.is("slave") && v.self.master == c.ID(master) {
			found = append(found, v.node)
		}
	}
	return found, err
}
