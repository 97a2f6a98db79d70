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
	ID    string  // within the cluster; empty where servers do not tell
	Addr  string  // host:port at which clients reach it
	Slots SlotSet // that it has
}

// Map says which master has which slot, as a node saw it. It never changes.
type Map struct {
	masters []Master
	of      [Slots]int16 // index of the master plus 1; 0: nobody has it
}

// Masters are those that have slots. Not to be changed.
func (m *Map) Masters() []Master { return m.masters }

// Master is the index in Masters of the one that has a slot, -1 when nobody has.
func (m *Map) Master(slot uint16) int { return int(m.of[slot]) - 1 }

// Moved are the slots that a master has in m and did not have in before; one that is found at another address is
// another one. Slots that nobody has in m are not among them: there is nobody to ask.
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

// add notes that a master has the slots from first to last.
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

// ErrNoTopology says that no node told who has which slot.
var ErrNoTopology = errors.New("cluster: no node tells who has which slot")

// parseMap reads an answer to CLUSTER SLOTS; asked is the address of the node that gave it, which need not know its own.
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
			return nil, fmt.Errorf("%w: range from %d to %d", ErrNoTopology, first, last)
		}
		id, addr, err := parseNode(parts[2], asked)
		if err != nil {
			return nil, err
		}
		m.add(id, addr, uint16(first), uint16(last))
	}
	if len(m.masters) == 0 {
		return nil, fmt.Errorf("%w: %s knows of none", ErrNoTopology, asked)
	}
	return m, nil
}

// parseNode reads { host, port, id, … }. No host means the one that was asked.
func parseNode(node rueidis.RedisMessage, asked string) (id, addr string, err error) {
	parts, err := node.ToArray()
	if err != nil || len(parts) < 2 {
		return "", "", fmt.Errorf("%w: malformed node", ErrNoTopology)
	}
	host, _ := parts[0].ToString() // null where it is not known
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

// witnesses is how many nodes are asked at a time. Two that agree are believed: one alone may have been cut off from the
// others, and a third is for one of them that hangs.
const witnesses = 3

// Topology follows who has which slot. Nothing announces changes; [Topology.Look] finds them when it is called, which
// [Config.PollInterval] and errors suggest. A node that hangs may still be asked when a Look has returned, for no longer than
// the client waits for its connections.
type Topology struct {
	client  rueidis.Client
	timeout time.Duration
	current atomic.Pointer[Map]
}

// NewTopology follows the cluster that client is connected to, which stays the caller's. A node has so long to answer.
func NewTopology(client rueidis.Client, timeout time.Duration) *Topology {
	return &Topology{client: client, timeout: timeout}
}

// Current is what the last Look that succeeded saw, nil before the first. Safe for concurrent use.
func (t *Topology) Current() *Map { return t.current.Load() }

// Look asks some nodes, drawn at random, and returns the slots that have moved since the last Look; none at the first
// one. It must not run twice at once. Errors match ErrNoTopology, or are those of the client.
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

// ask is what most of the witnesses say, as soon as two say the same. Where each says something else, what is known
// already stands if one of them says that: the others do not agree on anything better.
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
		case <-ctx.Done(): // one who waits for another's connection does not look at ctx
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
