package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Engine owns data streams for one process: it reads announcements, acquires leases, renews them, notifies the user, and
// releases them. It is made by New or Open and started once, by Run, RunEach or Start. All methods may be called at any time
// from any goroutine.
type Engine struct {
	env
	layout  *cluster.Layout
	names   *consumerNames
	store   store
	scan    scanStore
	client  rueidis.Client    // for everything but renewals
	renewal rueidis.Client    // for renewals; may be the same
	own     []*cluster.Client // those of the two that the engine made
	extra   extraClients      // that NewClient made
	closers []func()
	closing sync.Once

	partitions    []*partition
	table         *lease.Table
	dispatcher    *dispatch.Dispatcher
	renewer       *renewer
	connector     *connector
	pressure      *pressure
	balancer      *balancer
	shedder       *shedder
	wishes        *wishes
	completer     *completion.Completer
	ownership     *ownership
	leaver        *leaver
	sessions      *sessions
	parked        *parked
	reader        *reader
	promoter      *promoter
	positions     *lease.Signals // in signals
	signals       *signals
	signaled      *signaled
	checkpoints   *checkpoints
	recoverer     *recoverer
	predecessors  *predecessors
	backlogs      *backlogs
	hints         *hints // nil unless WithExpired was given
	topology      *topologyWatcher
	legacy        *legacyWatch
	agreement     *agreement
	maintenance   *maintenance
	follower      *follower
	ttls          *ttls
	revalidations *revalidations
	lanes         lanes
	breakers      *breakers

	base    context.Context // has the values of the context given to Run; ends when the engine has ended
	room    cond.Cond       // there may be room for more streams or bytes, or fewer are held
	reading *quota.Memory   // bytes that may be read and have no place yet
	quota   *quota.Streams  // streams that may be taken

	life life
	way  delivery // how notifications are delivered; set by run, before the engine counts as running
	// stopHandling ends the context of handlers.
	stopHandling context.CancelCauseFunc
}

// nodes returns the addresses of all servers.
func (e *Engine) nodes() []string {
	if e.client == nil {
		return e.cfg.dial.InitAddress
	}
	return slices.Sorted(maps.Keys(e.client.Nodes()))
}

// closeClients closes the clients that the engine made, once, and waits until they are closed: a client waits for its server.
func (e *Engine) closeClients() {
	e.closing.Do(func() { <-async(e.closers...) })
}

// ID returns the name of this run of the process as a consumer of the group: the consumer ID and a suffix that is new at every
// start. After a partition has lost its session, it continues there under this name with a number after it.
func (e *Engine) ID() string { return e.names.run }

// Inspector returns an inspector of the engine's service: of dead letters, backlogs and owners. It uses the engine's client, so it
// works before the start, too; after the end it works only if the engine was made by New. Errors match api.ErrInvalidConfig, or are
// those of connecting, if that has not succeeded yet.
func (e *Engine) Inspector(c scan.InspectorConfig) (*scan.Inspector, error) {
	if !connected(e.client) {
		if err := e.connector.once(); err != nil {
			return nil, err
		}
	}
	if c.Partitions == 0 {
		c.Partitions = e.layout.Partitions()
	}
	return scan.NewInspector(e.client, e.layout.Service(), c)
}

// ResetTopology is for callers that learn before the engine does that servers have changed. The engine then asks at once which
// master serves which slot, revalidates every partition, scans it for what dead consumers left, and replaces its own clients if
// there is no cluster. ResetTopology returns at once. Before the start and after the end it does nothing.
//
// Nobody has to call it: the same happens when a poll or a failed call shows a change (see cluster.Config).
func (e *Engine) ResetTopology() {
	if e.life.isRunning() {
		e.topology.reset()
	}
}

// ServerTime returns the time on the clock of the server that has a partition, and whether it is known. It makes no round trip: each answer to
// a beat or renewal has the server's time, and of the last eight of a partition that with the shortest round trip counts, with an
// error of at most half of that. Between two answers the time goes on with the clock of this machine, so it never goes back; with an answer it may
// change in either direction, by little as a rule. If the server's clock is set, or another server takes over, the time follows with
// the next answer.
//
// It is not known before a session was opened in the partition for the first time, nor where there is no such partition. While the server does
// not answer, it goes on. It is no deadline: only Lease.Remaining says for how long a stream is owned.
func (e *Engine) ServerTime(partition int) (now time.Time, known bool) {
	if partition < 0 || partition >= len(e.partitions) {
		return time.Time{}, false
	}
	ahead, known := e.partitions[partition].serverClock.ahead()
	if !known {
		return time.Time{}, false
	}
	return time.Unix(0, e.clock.Now()+ahead), true
}

// Checkpoints returns nil if checkpoints can be stored in every partition. Otherwise the error says why not: it matches
// api.ErrNoCheckpoints if Redis refuses them, since a right is missing or a key has another type, and is another one if Redis does not
// answer. It makes a round trip to each partition, and works before the start, too. Streams are owned whatever it returns: it is for
// programs that are not to start without checkpoints.
func (e *Engine) Checkpoints(ctx context.Context) error {
	if !connected(e.client) {
		if err := e.connector.once(); err != nil {
			return err
		}
	}
	for p := range e.partitions {
		if err := e.store.CheckpointsAllowed(ctx, p); refusesCheckpoints(err) {
			return noCheckpoints(p, err)
		} else if err != nil {
			return fmt.Errorf("checkpoints of partition %d: %w", p, lease.Explain(err))
		}
	}
	return nil
}

// scanStore is everything that the engine asks of Redis about dead consumers and backlogs. scan.Store is the real one.
type scanStore interface {
	recoveryStore
	wishStore
	endStore
	backlogStore
}

var _ scanStore = (*scan.Store)(nil)
