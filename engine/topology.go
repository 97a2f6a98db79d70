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

// refreshGap is the shortest time between two times that clients are made to ask for the topology; they wait for up to a
// second themselves before they do.
const refreshGap = time.Second

// Between two attempts to get away from a server that was demoted.
const (
	redialFirst = 500 * time.Millisecond
	redialMost  = 10 * time.Second
)

// topologyWatcher follows where the partitions are. On a cluster it looks who has which slot, at an interval and when calls fail,
// and has partitions that went to another master renewed and looked through at once. Elsewhere it gets the engine's own
// clients away from a server that was demoted. One goroutine, apart from all that has to do with leases.
type topologyWatcher struct {
	e        *Engine
	topology *cluster.Topology // nil where there is no cluster
	kick     chan struct{}
	reset    atomic.Bool
	demoted  atomic.Int64 // when a server first said that it takes no writes, and none has taken any since; 0: it takes them

	// Of the loop alone, and of the first look before it.

	names  map[string]int // lanes of masters, by ID and address; a lane is never another master's
	lastAt int64          // when the topology was last looked at
	told   int64          // when clients were last made to ask for it
	delay  time.Duration  // until clients are made anew the next time
	next   int64          // not before then
}

func newTopologyWatcher(e *Engine) *topologyWatcher {
	f := &topologyWatcher{e: e, kick: make(chan struct{}, 1), names: make(map[string]int)}
	if e.client != nil && e.client.Mode() == rueidis.ClientModeCluster {
		f.topology = cluster.NewTopology(e.client, e.cfg.timeout)
	}
	return f
}

// nudge has the loop look soon.
func (f *topologyWatcher) nudge() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// loop runs until ctx ends.
func (f *topologyWatcher) loop(ctx context.Context) {
	for {
		poll := time.NewTimer(f.e.cfg.cluster.PollInterval)
		select {
		case <-ctx.Done():
		case <-poll.C:
		case <-f.kick:
			early := f.lastAt + int64(lookGap) - f.e.clock.Now()
			backoff.Sleep(ctx, time.Duration(max(early, 0)))
		}
		poll.Stop()
		if ctx.Err() != nil {
			return
		}
		f.look(ctx)
	}
}

// look finds out what has changed, and takes the consequences.
func (f *topologyWatcher) look(ctx context.Context) {
	f.lastAt = f.e.clock.Now()
	all := f.reset.Swap(false)
	if f.topology == nil {
		f.escape(ctx, all)
	}
	var moved cluster.SlotSet
	if f.topology != nil {
		var err error
		if moved, err = f.topology.Look(ctx); err != nil {
			if ctx.Err() == nil {
				f.e.log.Warn("asking for the topology fails", 1, "err", lease.Explain(err))
			}
			if !all {
				return
			}
		}
		f.assign()
	}
	n := 0
	for _, p := range f.e.partitions {
		if all || moved.Has(f.e.layout.Keys(p.number).Slot) {
			n++
			f.e.relocated(p, all)
		}
	}
	if n > 0 {
		f.e.metrics.Add(metrics.PartitionsRelocated, n)
		f.e.event(api.EventTopologyChanged, api.NoPartition, nil, fmt.Sprintf("%d of %d partitions", n, len(f.e.partitions)))
	}
	if n > 0 || f.e.lastFailure() != nil && f.e.clock.Now() >= f.told+int64(refreshGap) {
		f.refresh(ctx)
	}
}

// assign gives each partition the lane of its master. One that nobody has keeps its lane.
func (f *topologyWatcher) assign() {
	now := f.topology.Current()
	if now == nil {
		return
	}
	lanes := make([]int, len(f.e.partitions))
	for n := range lanes {
		lanes[n] = f.e.lanes.of(n)
		at := now.Master(f.e.layout.Keys(n).Slot)
		if at < 0 {
			continue
		}
		m := &now.Masters()[at]
		name := m.ID + " " + m.Addr
		if _, known := f.names[name]; !known {
			f.names[name] = len(f.names) + 1
		}
		lanes[n] = f.names[name]
	}
	if f.e.lanes.assign(lanes) {
		for _, q := range f.e.workQueues() {
			q.Regroup()
		}
	}
}

// refresh has the clients find out, too: those whose calls run into their deadlines do not by themselves. The node that a
// client asks may not know yet, so this is done again for as long as calls fail.
func (f *topologyWatcher) refresh(ctx context.Context) {
	if f.topology == nil {
		return
	}
	f.told = f.e.clock.Now()
	for _, client := range slices.Compact([]rueidis.Client{f.e.client, f.e.renewal}) {
		ctx, cancel := context.WithTimeout(ctx, f.e.cfg.timeout)
		_ = cluster.Refresh(ctx, client) // they ask at their own times, too
		cancel()
	}
}

// relocated is called when another server has a partition, or may have it. A beat finds out what the new one knows: that it
// is another one makes all leases due.
func (e *Engine) relocated(p *partition, doubt bool) {
	if s, _ := p.view(); s != nil && doubt {
		now := e.clock.Now()
		e.table.RevalidateAll(s, int64(1<<63-1), func(*lease.Lease) int64 { return now })
	}
	e.renewer.beatNow(p.number)
	e.recoverer.lookNow(p.number)
}

// failed notes that a call failed.
func (f *topologyWatcher) failed(err error) {
	code, _ := lease.Refusal(err)
	demoted := demotion(code)
	if demoted {
		f.demoted.CompareAndSwap(0, f.e.clock.Now())
	}
	if demoted || f.topology != nil {
		f.nudge()
	}
}

// demotion reports whether a server that answers so is a replica.
func demotion(code string) bool { return code == "READONLY" || code == "MASTERDOWN" }

// worked notes that a server takes writes.
func (f *topologyWatcher) worked() { f.demoted.Store(0) }

// borrows says whether the engine works on a client that it was given.
func (e *Engine) borrows() bool {
	return slices.ContainsFunc([]rueidis.Client{e.client, e.renewal}, func(c rueidis.Client) bool {
		own, ok := c.(*cluster.Client)
		return !ok || !slices.Contains(e.own, own)
	})
}

// escape makes the engine's own clients anew while their server is one that was demoted, or when now is set.
func (f *topologyWatcher) escape(ctx context.Context, now bool) {
	since := f.demoted.Load()
	if since == 0 && !now {
		f.delay = 0
		return
	}
	at := f.e.clock.Now()
	if !now && (at < since+int64(f.e.cfg.beat) || at < f.next) {
		return
	}
	f.delay = min(max(2*f.delay, redialFirst), redialMost)
	f.next = at + int64(f.delay)
	if !now && f.e.borrows() {
		f.e.log.Error(stuckMessage, "remedy", stuckRemedy)
	}
	for _, c := range f.e.own {
		err := c.Redial()
		switch {
		case err == nil:
			f.e.log.Info("made a client anew, since its server takes no writes")
		case ctx.Err() == nil:
			f.e.log.Warn("making a client anew fails", 1, "err", lease.Explain(err))
		}
	}
	for _, p := range f.e.partitions {
		f.e.renewer.beatNow(p.number)
	}
}

const (
	stuckMessage = "the client talks to a server that was demoted, and the engine was given it and cannot make it anew"
	stuckRemedy  = "use Open, which makes its clients anew; or make the client anew and start another engine on it"
)

// workQueues are all that work for partitions.
func (e *Engine) workQueues() []interface{ Regroup() } {
	return []interface{ Regroup() }{e.renewer.work, e.completer, e.parked.work, e.recoverer.work, e.promoter}
}

// ResetTopology is for those who know before the engine does that servers have changed: who has which slot is asked anew at
// once, every partition is renewed and looked through for what dead consumers left, and clients of the engine's own that
// are not of a cluster are made anew. It returns at once. Before the start and after the end it does nothing.
//
// Nobody needs to call it: the same happens when a poll or a failed call shows a change (see cluster.Config).
func (e *Engine) ResetTopology() {
	if !e.life.isRunning() {
		return
	}
	e.topology.reset.Store(true)
	e.topology.nudge()
}
