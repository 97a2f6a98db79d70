package servers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// slots is the number of slots in every cluster. Package cluster defines it, too, but its tests use this package.
const slots = 16384

// clusterLimit bounds the start of a cluster, and a wait for it, if the caller sets no deadline. A start takes about three seconds,
// two of which every master waits before it accepts writes.
const clusterLimit = 90 * time.Second

// ClusterOptions say which cluster to start. The zero value is three masters with one replica each.
type ClusterOptions struct {
	// Masters is the number of masters, each with an equal part of the slots. 0: 3, the fewest that can vote.
	Masters int
	// Replicas is the number of replicas of each master. 0: 1. Negative: none.
	Replicas int
	// NodeTimeout is how long a node may be silent before the others consider it failed; an automatic failover takes about twice as
	// long. 0: 2 s, which a node on a busy machine should not exceed. The default of Redis is 15 s.
	NodeTimeout time.Duration
	// Node are the options of all nodes. Its Dir and ReplicaOf must be empty.
	Node Options
}

// Cluster is a Redis Cluster on loopback. Its nodes are servers that may be killed, paused, resumed and restarted like any other.
// Each keeps its identity in its directory, so it comes back as the same node. Which nodes are masters changes with every
// failover.
type Cluster struct {
	nodes []*Server
	ids   []string // of nodes, in the same order
}

// StartCluster starts a cluster and returns when every node reports the cluster as ok and knows all nodes and the owners of all
// slots, and every replica is in step. ctx bounds the start only.
func StartCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	if o.Node.Dir != "" || o.Node.ReplicaOf != nil {
		return nil, errors.New("servers: nodes of a cluster have directories and masters of their own")
	}
	if o.Masters == 0 {
		o.Masters = 3
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.NodeTimeout == 0 {
		o.NodeTimeout = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	o.Node.Args = append([]string{
		"--cluster-enabled", "yes",
		"--cluster-node-timeout", strconv.FormatInt(o.NodeTimeout.Milliseconds(), 10),
	}, o.Node.Args...)
	nodes, err := startAll(ctx, o.Masters*(1+max(0, o.Replicas)), o.Node)
	if err != nil {
		return nil, err
	}
	c := &Cluster{nodes: nodes}
	if err := c.form(ctx, o.Masters); err != nil {
		return nil, errors.Join(fmt.Errorf("servers: form a cluster: %w", err), c.Stop())
	}
	return c, nil
}

// startAll starts n servers with the same options concurrently. On an error none is left.
func startAll(ctx context.Context, n int, o Options) ([]*Server, error) {
	type result struct {
		s   *Server
		err error
	}
	results := make(chan result)
	for range n {
		go func() {
			s, err := Start(ctx, o)
			results <- result{s, err}
		}()
	}
	var started []*Server
	var err error
	for range n {
		if r := <-results; r.err != nil {
			err = errors.Join(err, r.err)
		} else {
			started = append(started, r.s)
		}
	}
	if err != nil {
		return nil, errors.Join(err, stopAll(started))
	}
	return started, nil
}

// stopAll stops servers concurrently, since each may take a while.
func stopAll(all []*Server) (err error) {
	ended := make(chan error)
	for _, s := range all {
		go func() { ended <- s.Stop() }()
	}
	for range all {
		err = errors.Join(err, <-ended)
	}
	return err
}

// form makes a cluster of fresh nodes. The first ones become masters, the others become their replicas in turn.
func (c *Cluster) form(ctx context.Context, masters int) error {
	for i, s := range c.nodes {
		id, err := s.Call(ctx, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		c.ids = append(c.ids, id)
		// Nodes that meet with equal epochs resolve that one after another, which takes seconds.
		if _, err := s.Call(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		if i < masters {
			if _, err := s.Call(ctx, AddSlots(i*slots/masters, (i+1)*slots/masters)...); err != nil {
				return err
			}
		}
		// Every pair meets explicitly: gossip would take some seconds.
		for _, other := range c.nodes[:i] {
			if _, err := s.Call(ctx, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(other.port)); err != nil {
				return err
			}
		}
	}
	if err := c.await(ctx, allKnown); err != nil {
		return err
	}
	for i, s := range c.nodes[masters:] {
		if _, err := s.Call(ctx, "CLUSTER", "REPLICATE", c.ids[i%masters]); err != nil {
			return err
		}
	}
	return c.await(ctx, func(views []*view) error { return errors.Join(rolesAre(views, masters), settled(views)) })
}

// AddSlots returns the command that gives a node the slots from one up to, and without, another. It names each: ranges are of Redis
// 7.0.
func AddSlots(from, end int) []string {
	command := []string{"CLUSTER", "ADDSLOTS"}
	for slot := from; slot < end; slot++ {
		command = append(command, strconv.Itoa(slot))
	}
	return command
}

// Nodes returns all servers of the cluster, whatever their roles are and whether they run. At the start the masters come first, and
// then their replicas in the same order.
func (c *Cluster) Nodes() []*Server { return slices.Clone(c.nodes) }

// ID returns the ID of a node in the cluster, which never changes.
func (c *Cluster) ID(node *Server) string {
	if i := slices.Index(c.nodes, node); i >= 0 {
		return c.ids[i]
	}
	return ""
}

// ClientOption returns options for a client of the cluster: all nodes as initial addresses, no cache.
func (c *Cluster) ClientOption() rueidis.ClientOption {
	o := rueidis.ClientOption{Password: c.nodes[0].opts.Password, DisableCache: true}
	for _, s := range c.nodes {
		o.InitAddress = append(o.InitAddress, s.Addr())
	}
	return o
}

// Stop ends all nodes for good and removes their files. Stopping again does nothing.
func (c *Cluster) Stop() error { return stopAll(c.nodes) }
