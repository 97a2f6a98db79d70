package engine

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Engine owns data streams for one process: it reads announcements, takes leases, keeps them alive, tells the user, and
// lets go. It is made by New or Open and started once, by Run, RunEach or Start. All methods may be called at any time
// from any goroutine.
type Engine struct {
	env
	layout  *cluster.Layout
	name    string // of the consumer, at the start
	store   store
	scan    scanStore
	client  rueidis.Client    // of everything but renewals
	renewal rueidis.Client    // of renewals; may be the same
	own     []*cluster.Client // those of them that it made
	closers []func()
	closing sync.Once

	partitions    []*partition
	table         *lease.Table
	dispatcher    *dispatch.Dispatcher
	renewer       *renewer
	pressure      *pressure
	completer     *completion.Completer
	ownership     *ownership
	sessions      *sessions
	parked        *parked
	reader        *reader
	promoter      *promoter
	recoverer     *recoverer
	backlogs      *backlogs
	hints         *hints // nil unless somebody asked for Expired
	topology      *topologyWatcher
	legacy        *legacyWatch
	agreement     *agreement
	maintenance   *maintenance
	ttls          *ttls
	revalidations *revalidations
	lanes         lanes
	breakers      *breakers

	base    context.Context // values of the context given to Run; ends when the engine has ended
	room    cond.Cond       // there may be room for more streams or bytes, or fewer are held
	reading *quota.Memory   // for what was read and has no place yet
	quota   *quota.Streams  // for more streams

	life life
	way  delivery // set by run, before the engine counts as running
	// stopHandling ends the context of handlers.
	stopHandling context.CancelCauseFunc
}

// nodes are the addresses of all servers.
func (e *Engine) nodes() []string {
	if e.client == nil {
		return e.cfg.dial.InitAddress
	}
	return slices.Sorted(maps.Keys(e.client.Nodes()))
}

func (e *Engine) closeClients() {
	e.closing.Do(func() {
		for _, c := range e.closers {
			c()
		}
	})
}

// ID is the name under which this run of the process is a consumer of the group: the consumer id and a suffix that is
// new at every start. A partition whose session was lost goes on under another suffix.
func (e *Engine) ID() string { return e.name }

// Inspector looks at the service from outside, through the client of the engine: at dead letters, backlogs, and who owns what.
// It may also be used before the engine is started; if Open made the engine, not after it has ended. Errors match
// api.ErrInvalidConfig.
func (e *Engine) Inspector(c scan.InspectorConfig) (*scan.Inspector, error) {
	if c.Partitions == 0 {
		c.Partitions = e.layout.Partitions()
	}
	return scan.NewInspector(e.client, e.layout.Service(), c)
}

// ResetTopology is for callers that learn before the engine does that servers have changed. The engine then asks at once which
// master serves which slot, renews every partition and looks there for what dead consumers left, and replaces its own clients
// if they are not of a cluster. ResetTopology returns at once. Before the start and after the end it does nothing.
//
// Nobody needs to call it: the same happens when a poll or a failed call shows a change (see cluster.Config).
func (e *Engine) ResetTopology() {
	if e.life.isRunning() {
		e.topology.reset()
	}
}

// scanStore is all that the engine asks of Redis about dead consumers and backlogs. scan.Store is the real one.
type scanStore interface {
	recoveryStore
	backlogStore
}

var _ scanStore = (*scan.Store)(nil)
