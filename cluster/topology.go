package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Master is a node of a cluster that has slots.
type Master struct {
	ID    string  // within the cluster; empty if the servers do not give it
	Addr  string  // host:port at which clients reach it
	Slots SlotSet // that it serves
}

// Map records which master serves which slot, as seen by one node. It never changes.
type Map struct {
	masters []Master
	of      [Slots]int16 // index of the master plus 1; 0: none serves it
}

// Masters returns the masters that have slots. The result must not be changed.
func (m *Map) Masters() []Master { return m.masters }

// Master returns the index in Masters of the master that serves a slot, -1 if none does.
func (m *Map) Master(slot uint16) int { return int(m.of[slot]) - 1 }

// Moved returns the slots that a master serves in m and did not serve in before; a master at another address counts as
// another master. Slots that no master serves in m are left out: there is no one to ask.
func (m *Map) Moved(before *Map) SlotSet {
	var moved SlotSet
	for i := range m.masters {
		now := &m.masters[i]
		var had *SlotSet
		for j := range before.masters {
			if then := &before.masters[j]; now.ID == then.ID && now.Addr == then.Addr {
				had = &then.Slots
			}
		}
		moved.addDifference(&now.Slots, had)
	}
	return moved
}

func (m *Map) same(other *Map) bool {
	return m.Moved(other) == SlotSet{} && other.Moved(m) == SlotSet{}
}

// add records that a master serves the slots from first to last.
func (m *Map) add(id, addr string, first, last uint16) {
	at := -1
	for i := range m.masters {
		if m.masters[i].ID == id && m.masters[i].Addr == addr {
			at = i
		}
	}
	if at < 0 {
		at = len(m.masters)
		m.masters = append(m.masters, Master{ID: id, Addr: addr})
	}
	m.masters[at].Slots.AddRange(first, last)
	for slot := int(first); slot <= int(last); slot++ {
		m.of[slot] = int16(at) + 1
	}
}

// ErrNoTopology: no node gave a usable answer to which master serves which slot.
var ErrNoTopology = errors.New("cluster: no usable answer to which master serves which slot")

// parseMap reads an answer to CLUSTER SLOTS; asked is the address of the node that gave it, which may not know its own.
func parseMap(answer rueidis.RedisMessage, asked string) (*Map, error) {
	ranges, err := answer.ToArray()
	if err != nil {
		return nil, err
	}
	m := &Map{}
	for _, r := range ranges {
		parts, err := r.ToArray()
		if err != nil || len(parts) < 3 {
			return nil, fmt.Errorf("%w: malformed range", ErrNoTopology)
		}
		first, err1 := parts[0].AsInt64()
		last, err2 := parts[1].AsInt64()
		if err1 != nil || err2 != nil || first < 0 || first > last || last >= Slots {
			return nil, fmt.Errorf("%w: slots from %d to %d", ErrNoTopology, first, last)
		}
		id, addr, err := parseNode(parts[2], asked)
		if err != nil {
			return nil, err
		}
		m.add(id, addr, uint16(first), uint16(last))
	}
	if len(m.masters) == 0 {
		return nil, fmt.Errorf("%w: %s knows no masters", ErrNoTopology, asked)
	}
	return m, nil
}

// parseNode reads { host, port, id, … }. Without a host, it is that of the node that was asked.
func parseNode(node rueidis.RedisMessage, asked string) (id, addr string, err error) {
	parts, err := node.ToArray()
	if err != nil || len(parts) < 2 {
		return "", "", fmt.Errorf("%w: malformed node", ErrNoTopology)
	}
	host, _ := parts[0].ToString() // null if it is not known
	port, err := parts[1].AsInt64()
	if err != nil {
		return "", "", fmt.Errorf("%w: port: %w", ErrNoTopology, err)
	}
	if host == "" {
		host, _, _ = net.SplitHostPort(asked)
	}
	if len(parts) > 2 {
		id, _ = parts[2].ToString()
	}
	return id, net.JoinHostPort(host, strconv.FormatInt(port, 10)), nil
}

// witnesses is how many nodes are asked at a time. Two that agree are believed: a single one may be cut off from the
// others. The third is there in case one of them hangs.
const witnesses = 3

// Topology follows which master serves which slot. Nothing announces changes; [Topology.Look] finds them, and should be
// called at [Config.PollInterval] and after errors. When Look has returned, a question to a node that hangs may still be
// in progress, for no longer than the client waits for its connections.
type Topology struct {
	client  rueidis.Client
	timeout time.Duration
	current atomic.Pointer[Map]
}

// NewTopology returns a Topology of the cluster that client is connected to; the client stays the caller's. timeout is how
// long nodes have to answer.
func NewTopology(client rueidis.Client, timeout time.Duration) *Topology {
	return &Topology{client: client, timeout: timeout}
}

// Current returns what the last successful Look saw, nil before the first. Safe for concurrent use.
func (t *Topology) Current() *Map { return t.current.Load() }

// Look asks a few random nodes and returns the slots that have moved since the last Look; none the first time. Calls must
// not overlap. Errors match ErrNoTopology, or are those of the client.
func (t *Topology) Look(ctx context.Context) (moved SlotSet, err error) {
	now, err := t.ask(ctx)
	if err != nil {
		return moved, err
	}
	before := t.current.Swap(now)
	if before == nil {
		return moved, nil
	}
	return now.Moved(before), nil
}

// ask returns what most of the witnesses say, as soon as two agree. If no two do, the current map stands if one of them
// confirms it: the others do not agree on anything better.
func (t *Topology) ask(ctx context.Context) (*Map, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	type answer struct {
		m   *Map
		err error
	}
	nodes := t.witnesses()
	answers := make(chan answer, len(nodes))
	for addr, node := range nodes {
		go func() {
			m, err := askOne(ctx, addr, node)
			answers <- answer{m, err}
		}()
	}
	var said []*Map
	err := ErrNoTopology
	for range nodes {
		var a answer
		select {
		case a = <-answers:
		case <-ctx.Done(): // a call that waits for another call's connection ignores its ctx
			a.err = ctx.Err()
		}
		if a.err != nil {
			err = a.err
			continue
		}
		for _, m := range said {
			if m.same(a.m) {
				return a.m, nil
			}
		}
		said = append(said, a.m)
	}
	if len(said) == 0 {
		return nil, err
	}
	if current := t.Current(); current != nil {
		for _, m := range said {
			if len(said) > 1 && m.same(current) {
				return m, nil
			}
		}
	}
	return said[0], nil
}

func (t *Topology) witnesses() map[string]rueidis.Client {
	nodes := t.client.Nodes()
	addrs := make([]string, 0, len(nodes))
	for addr := range nodes {
		addrs = append(addrs, addr)
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	for _, addr := range addrs[min(witnesses, len(addrs)):] {
		delete(nodes, addr)
	}
	return nodes
}

func askOne(ctx context.Context, addr string, node rueidis.Client) (*Map, error) {
	answer, err := node.Do(ctx, node.B().ClusterSlots().Build()).ToMessage()
	if err != nil {
		return nil, err
	}
	return parseMap(answer, addr)
}
