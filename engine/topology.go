package engine

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// lookGap is the shortest time between two looks at the topology: an outage fails every call of every partition.
const lookGap = 250 * time.Millisecond

// refreshGap is the shortest time between two requests to the clients to ask for the topology. They delay that themselves, by up
// to a second.
const refreshGap = time.Second

// redialDelays are the delays between attempts to get away from a server that was demoted.
var redialDelays = backoff.Exponential{First: 500 * time.Millisecond, Max: 10 * time.Second}

// topologyConfig is what a topologyWatcher needs. All are set, the clients aside.
type topologyConfig struct {
	layout          *cluster.Layout
	partitions      []*partition
	table           *lease.Table
	lanes           *lanes
	client, renewal rueidis.Client           // nil in tests
	own             func() []*cluster.Client // all that the engine made, those of layers included
	named           func()                   // the topology was looked at: it may name other addresses
	changed         func()                   // slots have moved, or clients were replaced
	regroup         func()                   // partitions have changed lanes
	beat            func(partition int)      // sends a beat at once
	scan            func(partition int)      // looks at once for what dead consumers left
	failing         func() error             // why Redis does not answer; nil if it does
}

// topologyWatcher watches which server has which partition. On a cluster it asks which master serves which slot, at an
// interval and when calls fail; partitions that went to another master are renewed and scanned at once. Elsewhere it gets the
// engine's own clients away from a server that was demoted. It has one goroutine, apart from everything that has to do with
// leases.
type topologyWatcher struct {
	*env
	topologyConfig
	topology *cluster.Topology // nil where there is no cluster
	kick     chan struct{}
	doubted  atomic.Bool  // reset was called: the next look treats every partition as moved
	demoted  atomic.Int64 // when a server first refused writes, if none has taken any since; 0: they are taken

	// Only the loop uses these, and the first look before it.

	names      map[string]int // lanes of masters, by ID and address; a lane never goes to another master
	looked     int64          // when the topology was last looked at
	refreshed  int64          // when clients were last made to ask for it
	redials    int            // in a row
	nextRedial int64          // not before then
}

func newTopologyWatcher(e *env, c topologyConfig) *topologyWatcher {
	w := &topologyWatcher{env: e, topologyConfig: c, kick: make(chan struct{}, 1), names: make(map[string]int)}
	if c.client != nil && c.client.Mode() == rueidis.ClientModeCluster {
		w.topology = cluster.NewTopology(c.client, e.cfg.timeout)
	}
	return w
}

// nudge makes the loop look soon.
func (w *topologyWatcher) nudge() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// reset makes the loop look soon, and treat every partition as one whose server has changed.
func (w *topologyWatcher) reset() {
	w.doubted.Store(true)
	w.nudge()
}

// loop runs until ctx ends.
func (w *topologyWatcher) loop(ctx context.Context) {
	for {
		poll := time.NewTimer(w.cfg.cluster.PollInterval)
		select {
		case <-ctx.Done():
		case <-poll.C:
		case <-w.kick:
			early := w.looked + int64(lookGap) - w.clock.Now()
			backoff.Sleep(ctx, time.Duration(max(early, 0)))
		}
		poll.Stop()
		if ctx.Err() != nil {
			return
		}
		w.look(ctx)
	}
}

// look finds out what has changed and acts on it.
func (w *topologyWatcher) look(ctx context.Context) {
	w.looked = w.clock.Now()
	all := w.doubted.Swap(false)
	if w.topology == nil {
		w.escape(ctx, all)
	}
	var moved cluster.SlotSet
	if w.topology != nil {
		var err error
		if moved, err = w.topology.Look(ctx); err != nil {
			if ctx.Err() == nil {
				w.log.Warn("asking for the topology fails", 1, "err", lease.Explain(err))
			}
			if !all {
				return
			}
		}
		w.assign()
		w.named()
	}
	if all {
		// Whatever the beats find.
		w.table.MakeAllDue(w.clock.Now())
	}
	if all || moved != (cluster.SlotSet{}) {
		w.changed()
	}
	n := 0
	for _, p := range w.partitions {
		if all || moved.Has(w.layout.Keys(p.number).Slot) {
			n++
			w.log.Debug("another server has the partition, or may have it", "partition", p.number, "all", all)
			// A beat finds out what that server knows. If it is another one, all leases of the partition become due.
			w.beat(p.number)
			w.scan(p.number)
		}
	}
	if n > 0 {
		w.metrics.Add(metrics.PartitionsRelocated, n)
		w.event(api.EventTopologyChanged, api.NoPartition, nil, fmt.Sprintf("%d of %d partitions", n, len(w.partitions)))
	}
	if n > 0 || w.failing() != nil && w.clock.Now() >= w.refreshed+int64(refreshGap) {
		w.refresh(ctx)
	}
}

// master returns the address of the master that serves a slot, "" where that is not known or there is no cluster. Safe for concurrent
// use.
func (w *topologyWatcher) master(slot uint16) string {
	if w.topology == nil {
		return ""
	}
	now := w.topology.Current()
	if now == nil {
		return ""
	}
	if at := now.Master(slot); at >= 0 {
		return now.Masters()[at].Addr
	}
	return ""
}

// serves reports whether the server at an address has a partition, as far as is known. Safe for concurrent use.
func (w *topologyWatcher) serves(partition int, addr string) bool {
	at := w.master(w.layout.Keys(partition).Slot)
	return at == "" || at == addr
}

// assign gives each partition the lane of its master. A partition that no master has keeps its lane.
func (w *topologyWatcher) assign() {
	now := w.topology.Current()
	if now == nil {
		return
	}
	all := make([]int, len(w.partitions))
	for n := range all {
		all[n] = w.lanes.of(n)
		at := now.Master(w.layout.Keys(n).Slot)
		if at < 0 {
			continue
		}
		m := &now.Masters()[at]
		name := m.ID + " " + m.Addr
		if _, known := w.names[name]; !known {
			w.names[name] = len(w.names) + 1
		}
		all[n] = w.names[name]
	}
	if w.lanes.assign(all) {
		w.regroup()
	}
}

// refresh makes the clients find out, too: a client whose calls run into their deadlines does not do so by itself. The node
// that a client asks may not know yet, so this is repeated for as long as calls fail.
func (w *topologyWatcher) refresh(ctx context.Context) {
	if w.topology == nil {
		return
	}
	w.refreshed = w.clock.Now()
	clients := slices.Compact([]rueidis.Client{w.client, w.renewal})
	for _, own := range w.own() {
		if !slices.Contains(clients, rueidis.Client(own)) {
			clients = append(clients, own)
		}
	}
	for _, client := range clients {
		ctx, cancel := context.WithTimeout(ctx, w.cfg.timeout)
		_ = cluster.Refresh(ctx, client) // clients also ask at times of their own
		cancel()
	}
}

// failed records that a call failed.
func (w *topologyWatcher) failed(err error) {
	code, _ := lease.Refusal(err)
	demoted := demotion(code)
	if demoted {
		w.demoted.CompareAndSwap(0, w.clock.Now())
	}
	if demoted || w.topology != nil {
		w.nudge()
	}
}

// worked records that a server takes writes.
func (w *topologyWatcher) worked() { w.demoted.Store(0) }

// demotion reports whether a server that refuses with this code is a replica.
func demotion(code string) bool { return code == "READONLY" || code == "MASTERDOWN" }

// borrows reports whether the engine uses a client that it did not make.
func (w *topologyWatcher) borrows() bool {
	return slices.ContainsFunc([]rueidis.Client{w.client, w.renewal}, func(c rueidis.Client) bool {
		own, ok := c.(*cluster.Client)
		return !ok || !slices.Contains(w.own(), own)
	})
}

// escape replaces the engine's own clients while their server is one that was demoted, or if now is set.
func (w *topologyWatcher) escape(ctx context.Context, now bool) {
	since := w.demoted.Load()
	if since == 0 && !now {
		w.redials = 0
		return
	}
	at := w.clock.Now()
	if !now && (at < since+int64(w.cfg.beat) || at < w.nextRedial) {
		return
	}
	w.redials++
	w.nextRedial = at + int64(redialDelays.Delay(w.redials, 0))
	if !now && w.borrows() {
		w.log.Error(stuckMessage, "remedy", stuckRemedy)
	}
	for _, c := range w.own() {
		err := c.Redial()
		switch {
		case err == nil:
			w.log.Info("replaced a client to get away from its server")
		case ctx.Err() == nil:
			w.log.Warn("replacing a client fails", 1, "err", lease.Explain(err))
		}
	}
	for _, p := range w.partitions {
		w.beat(p.number)
	}
	w.changed()
}

const (
	stuckMessage = "the client talks to a server that was demoted, and the engine did not make the client and cannot replace it"
	stuckRemedy  = "use Open, whose clients the engine replaces; or make a new client and start another engine on it"
)
