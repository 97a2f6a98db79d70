package servers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// FailoverMode says how a replica replaces its master.
type FailoverMode string

// The modes of CLUSTER FAILOVER.
const (
	// Graceful: master and replica agree on the moment, and no write is lost.
	Graceful FailoverMode = ""
	// Force: without the master, by a vote of the other masters.
	Force FailoverMode = "FORCE"
	// Takeover: without any vote. Two nodes may believe that they own the slots until they hear of each other.
	Takeover FailoverMode = "TAKEOVER"
)

// failoverAgain is when a failover that has not happened is requested again: a node abandons a graceful one after 5 s.
const failoverAgain = 6 * time.Second

// Failover makes a replica the master of its slots and returns when the replica knows that it is the master. The other nodes, and
// clients, may find out later; [Cluster.AwaitReady] waits for all nodes.
func (c *Cluster) Failover(ctx context.Context, replica *Server, mode FailoverMode) error {
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	command := []string{"CLUSTER", "FAILOVER"}
	if mode != Graceful {
		command = append(command, string(mode))
	}
	var last error
	var asked time.Time
	err := poll(ctx, func() bool {
		v, err := look(ctx, replica)
		if err != nil {
			last = err
			return false
		}
		if v.self.is("master") && len(v.self.slots) > 0 {
			return true
		}
		if time.Since(asked) >= failoverAgain {
			asked = time.Now()
			if _, err := replica.Call(ctx, command...); err != nil {
				last = err
			}
		}
		return false
	})
	if err != nil {
		return errors.Join(fmt.Errorf("servers: %s did not become master: %w", replica.Addr(), err), last)
	}
	return nil
}

// AwaitOwner waits until a node other than this one has the slot, after an automatic failover, and returns the new owner.
func (c *Cluster) AwaitOwner(ctx context.Context, slot uint16, not *Server) (found *Server, err error) {
	ctx, cancel := context.WithTimeout(ctx, clusterLimit)
	defer cancel()
	var last error
	err = poll(ctx, func() bool {
		found, last = c.Owner(ctx, slot)
		return last == nil && found != not
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("servers: slot %d has no other owner: %w", slot, err), last)
	}
	return found, nil
}

// AwaitInStep waits until the replicas of a server have everything that it had at the call, so that a failover loses none of it.
func AwaitInStep(ctx context.Context, master *Server, replicas ...*Server) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	want, err := offset(ctx, master, "master_repl_offset")
	if err != nil {
		return err
	}
	for _, s := range replicas {
		err := poll(ctx, func() bool {
			have, err := offset(ctx, s, "slave_repl_offset")
			return err == nil && have >= want
		})
		if err != nil {
			return fmt.Errorf("servers: %s stays behind %s: %w", s.Addr(), master.Addr(), err)
		}
	}
	return nil
}

// offset returns a replication offset of a server.
func offset(ctx context.Context, s *Server, field string) (int64, error) {
	info, err := s.Info(ctx, "replication")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info[field], 10, 64)
}
