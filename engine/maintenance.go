package engine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/dialer"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// maintenance acts on the maintenance that servers announce, so that an announced outage loses no lease.
//
// When a window opens, the sessions and leases that it may affect are renewed within a second. While it is open, every renewal
// asks for a TTL that is longer by the window's length (see ttls), and what was renewed may be believed in for as long. Nobody is
// recovered in the affected partitions meanwhile (see holdOff), and calls wait longer for their answers. When the window has
// ended, everything is renewed, which finds what the servers forgot (see revalidations for what that costs). The expiry
// subscriptions are renewed too, and TTLs are what they were before, once the longer ones that were sent have run out.
//
// So that no stream has two owners, a server that is promoted must wait for as long as anybody may believe in a session without
// having reached it, even though the writes of the last moment before are lost. It waits for the greatest session TTL on
// record, and nobody believes in more than that. So every beat puts on record the greatest TTL that a window may lead to
// (reach), and it does so from when a server has said that it announces maintenance, not from when a window opens. Settling
// after a failover therefore lasts longer by MaxWindow on such servers, and on no others.
//
// maintenance is made before the parts that it sets to work. They are passed to attach, and it runs after that.
type maintenance struct {
	*env
	layout     *cluster.Layout
	partitions []*partition
	parts      maintenanceParts // set by attach
	watcher    *notice.Watcher  // nil: nobody listens
	dialer     *dialer.Dialer   // nil likewise
	announces  atomic.Bool      // a server does, so some process of the fleet may lengthen its TTLs
	stale      atomic.Bool      // subscriptions have to be renewed
}

// maintenanceParts are the parts of an engine that maintenance sets to work.
type maintenanceParts struct {
	renewer interface {
		nudge()                // makes it look now
		beatNow(partition int) // makes it beat a partition at its next look
	}
	revalidate func(partition int, open bool)    // a window has opened in a partition, or has ended
	topology   interface{ nudge() }              // makes it look soon
	recoverer  interface{ alarm(partition int) } // makes it look for the dead of a partition
	follow     func(notice.Handoff)              // has clients follow a server that moves
}

// newMaintenance prepares to listen over connections that d makes; nil: notices are not wanted, or servers cannot be reached. nodes
// returns the addresses of all servers.
func newMaintenance(e *env, layout *cluster.Layout, partitions []*partition, d *dialer.Dialer, nodes func() []string) *maintenance {
	m := &maintenance{env: e, layout: layout, partitions: partitions, dialer: d}
	if d == nil {
		return m
	}
	m.watcher = notice.NewWatcher(d.SideOption(), e.cfg.notices, nodes, notice.Hooks{
		Noticed: noticeHooks{e}.noticed,
		Changed: m.changed,
		Handled: noticeHooks{e}.handled,
		Node:    m.node,
		Moved:   func(h notice.Handoff) { m.parts.follow(h) },
	})
	return m
}

// attach is called once, before anything runs.
func (m *maintenance) attach(parts maintenanceParts) { m.parts = parts }

// run listens until ctx ends.
func (m *maintenance) run(ctx context.Context) {
	if m.watcher == nil {
		return
	}
	m.watcher.Run(ctx)
}

// window returns the length of the longest maintenance window that is open for a partition, 0 when none is.
func (m *maintenance) window(p *partition) time.Duration {
	if m.watcher == nil {
		return 0
	}
	return m.watcher.Length(m.layout.Keys(p.number).Slot)
}

// reach returns the greatest TTL that a session of this process may come to have. Every beat puts it on record.
func (m *maintenance) reach() time.Duration {
	c := m.cfg
	if !m.announces.Load() || !c.settle {
		return c.sessionTTL
	}
	return c.sessionTTL + c.notices.MaxWindow
}

// relaxed returns a longer timeout while a window is open and shortly after, otherwise 0. Two attempts fit into what a session
// has left.
func (m *maintenance) relaxed() time.Duration {
	if m.watcher == nil || !m.watcher.Relaxed() {
		return 0
	}
	c := m.cfg
	return min(c.notices.RelaxedTimeout, (c.sessionTTL-c.sessionMargin-c.beat)/2)
}

// holdsOff reports whether recovery waits for the end of a maintenance window.
func (m *maintenance) holdsOff(p *partition) bool {
	if m.watcher == nil {
		return false
	}
	return p.holdOff.holds(m.clock.Now(), m.window(p) > 0, holdOffWindows*m.cfg.notices.MaxWindow)
}

// changed is called when a window has opened or ended, or has ended for some of its slots. Only the partitions that this affects
// are renewed: those of a window's slots, where slots are announced, else all.
func (m *maintenance) changed(c notice.Change) {
	w := &c.Window
	var affected []*partition
	for _, p := range m.partitions {
		if w.Covers(m.layout.Keys(p.number).Slot) {
			affected = append(affected, p)
		}
	}
	for _, p := range affected {
		m.parts.revalidate(p.number, c.Open)
		m.holdsOff(p) // notes that there is a window
	}
	m.parts.renewer.nudge()
	kind := api.EventMaintenanceStarted
	if !c.Open {
		kind = api.EventMaintenanceEnded
		m.stale.Store(true)
		m.parts.topology.nudge()
		for _, p := range affected {
			if p.dead.Load() > 0 {
				m.parts.recoverer.alarm(p.number)
			}
		}
	}
	if c.Partial {
		return // the window goes on
	}
	m.tell(api.Event{
		Kind: kind, Partition: api.NoPartition, Detail: describe(&c, len(affected), len(m.partitions)), Maintenance: asEvent(&c),
	})
}

// serverChanged is called when a server turns out to have been replaced: the new one may announce where the old one did not.
func (m *maintenance) serverChanged() {
	if m.watcher != nil {
		m.watcher.Look()
	}
}

// returned is called when clients use the address of a server itself again.
func (m *maintenance) returned(addr string) { m.watcher.Return(addr) }

// node is called when the state of a node has changed.
func (m *maintenance) node(n notice.Node) {
	switch n.State {
	case notice.Listening:
		if !m.announces.Swap(true) {
			for _, p := range m.partitions {
				m.parts.renewer.beatNow(p.number)
			}
		}
		m.log.Info("listening for notices of maintenance", "server", n.Address)
	case notice.Refused:
		if m.cfg.notices.Mode == notice.On {
			m.log.Error("a server refuses to announce maintenance", "server", n.Address, "err", n.Err,
				"remedy", "use notice.Auto, or a server that does")
		} else {
			// As every open-source server: Redis Software and Redis Cloud are those that do.
			m.log.Debug("the server does not announce maintenance, which is usual", "server", n.Address, "answer", n.Err)
		}
	}
}

// ready returns an error if notices are required and a server refuses to send them.
func (m *maintenance) ready() error {
	if m.watcher == nil || m.cfg.notices.Mode != notice.On {
		return nil
	}
	for _, n := range m.watcher.Nodes() {
		if n.State == notice.Refused {
			return fmt.Errorf("%w: %s refuses to announce maintenance: %w", api.ErrNotReady, n.Address, n.Err)
		}
	}
	return nil
}

// describe describes a change in words.
func describe(c *notice.Change, affected, of int) string {
	w := &c.Window
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d of %s", w.Kind, w.Seq, w.Node)
	if w.Endpoint != "" {
		fmt.Fprintf(&b, ", to %s", w.Endpoint)
	}
	if len(w.Shards) > 0 {
		fmt.Fprintf(&b, ", shards %s", strings.Join(w.Shards, ","))
	}
	if n := w.Slots.Len(); n > 0 {
		fmt.Fprintf(&b, ", %d slots", n)
	}
	switch {
	case c.Open:
		fmt.Fprintf(&b, ", announced for %v, taken for %v", w.In, w.Length)
	case c.Completed:
		b.WriteString(", completed")
	default:
		b.WriteString(", time is up")
	}
	fmt.Fprintf(&b, "; %d of %d partitions", affected, of)
	return b.String()
}

// asEvent converts a change for api.Event.
func asEvent(c *notice.Change) *api.Maintenance {
	w := &c.Window
	return &api.Maintenance{
		Notice: w.Kind.String(), Seq: w.Seq, Node: w.Node, Endpoint: w.Endpoint, Shards: w.Shards, Slots: w.Slots.Len(),
		Announced: w.In, Length: w.Length, Completed: c.Completed,
	}
}

// emit emits the gauges of maintenance.
func (m *maintenance) emit(emit metrics.Emit) {
	if m.watcher == nil {
		return
	}
	announcing := 0
	for _, n := range m.watcher.Nodes() {
		if n.State == notice.Listening {
			announcing++
		}
	}
	for _, p := range m.partitions {
		held := 0.0
		if m.holdsOff(p) {
			held = 1
		}
		emit(metrics.RecoveryHeldOff, p.number, held)
	}
	emit(metrics.MaintenanceEndpoints, api.NoPartition, float64(m.dialer.Replaced()))
	emit(metrics.MaintenanceNodes, api.NoPartition, float64(announcing))
	emit(metrics.MaintenanceWindows, api.NoPartition, float64(len(m.watcher.Windows())))
}
