package preflight

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// samples is how many times a node is asked for its time, one after the other.
const samples = 16

// node is one server and what it says about itself. look fills it in, on a goroutine of its own; everything else reads it later.
type node struct {
	addr   string
	client rueidis.Client
	err    error // why it does not answer at all

	info   map[string]string // fields of INFO; empty: refused
	config map[string]string // settings, as far as CONFIG GET is allowed
	user   string            // of ACL WHOAMI; empty: unknown

	trips  []time.Duration // round trips, sorted
	ahead  time.Duration   // how far its clock is ahead of this host's; measured with the shortest round trip
	unsure time.Duration   // how far off ahead may be, to either side
}

// settings are the settings that are read, if that is allowed.
var settings = []string{
	"notify-keyspace-events", "min-replicas-to-write", "min-replicas-max-lag", "save", "appendfsync", "cluster-node-timeout",
	"cluster-require-full-coverage",
}

// tableSetting bounds how many keys a server tracks.
const tableSetting = "tracking-table-max-keys"

// settings returns those that matter on these terms.
func (t Terms) settings() []string {
	if t.Reads != nil && t.Reads.Tracks {
		return append(settings[:len(settings):len(settings)], tableSetting)
	}
	return settings
}

// lookAll looks at all nodes that a client knows, concurrently: however many hang, they cost one timeout.
func lookAll(ctx context.Context, client rueidis.Client, t Terms) []*node {
	var nodes []*node
	var group sync.WaitGroup
	for addr, c := range client.Nodes() {
		n := &node{addr: addr, client: c}
		nodes = append(nodes, n)
		group.Go(func() { n.look(ctx, t) })
	}
	group.Wait()
	slices.SortFunc(nodes, func(a, b *node) int { return strings.Compare(a.addr, b.addr) })
	return nodes
}

// look asks a node about itself.
func (n *node) look(ctx context.Context, t Terms) {
	n.info, n.config = map[string]string{}, map[string]string{}
	if n.err = n.ask(ctx, t, "PING").Error(); n.err != nil {
		if _, refused := lease.Refusal(n.err); !refused {
			return
		}
		n.err = nil
	}
	text, err := n.ask(ctx, t, "INFO").ToString()
	if err != nil {
		text = ""
	}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			n.info[name] = value
		}
	}
	for _, s := range t.settings() {
		values, err := n.ask(ctx, t, "CONFIG", "GET", s).AsStrMap()
		if value, ok := values[s]; err == nil && ok {
			n.config[s] = value
		} else if code, refused := lease.Refusal(err); err != nil && (!refused || code == "NOPERM") {
			break // each refusal adds an entry to ACL LOG
		}
	}
	if user, err := n.ask(ctx, t, "ACL", "WHOAMI").ToString(); err == nil {
		n.user = user
	}
	n.time(ctx, t)
}

// time measures the round trips to a node, and its clock.
func (n *node) time(ctx context.Context, t Terms) {
	for range samples {
		began := time.Now()
		parts, err := n.ask(ctx, t, "TIME").AsStrSlice()
		took := time.Since(began)
		if err != nil || len(parts) != 2 {
			return
		}
		seconds, err1 := strconv.ParseInt(parts[0], 10, 64)
		micros, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err1 != nil || err2 != nil {
			return
		}
		if len(n.trips) == 0 || took < slices.Min(n.trips) {
			n.ahead = time.Unix(seconds, micros*1000).Sub(began.Round(0).Add(took / 2))
			n.unsure = took / 2
		}
		n.trips = append(n.trips, took)
	}
	slices.Sort(n.trips)
}

// ask sends one command to the node itself.
func (n *node) ask(ctx context.Context, t Terms, args ...string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, t.patience())
	defer cancel()
	return n.client.Do(ctx, n.client.B().Arbitrary(args...).Build())
}

// number returns a numeric field of INFO, 0 if it is missing.
func (n *node) number(field string) int64 {
	v, _ := strconv.ParseInt(n.info[field], 10, 64)
	return v
}

// known reports whether the node has answered with INFO.
func (n *node) known() bool { return n.err == nil && len(n.info) > 0 }

// replica reports whether the node is a replica.
func (n *node) replica() bool { return n.info["role"] == "slave" }
