package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/cond"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/outbox"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
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

// New makes an engine on the user's client, which the user closes after the engine has ended. service is shared with
// the producers. Errors match api.ErrInvalidConfig. Nothing is sent to Redis before the engine is started.
//
// New cannot read the options of the client: make it with those of [ClientOption], and see WithRenewalClient, WithDial and
// Open for a connection that renewals have to themselves, and the last two for notices of maintenance. [Preflight] looks at
// the servers.
func New(client rueidis.Client, service string, opts ...Option) (*Engine, error) {
	cfg, layout, err := resolve(service, opts)
	if err != nil {
		return nil, err
	}
	if client == nil {
		return nil, invalid("client is nil; make one with rueidis.NewClient, or use Open")
	}
	if client.Mode() == rueidis.ClientModeCluster {
		if err := cfg.onCluster(); err != nil {
			return nil, err
		}
	}
	if cfg.notices.Mode == notice.On && cfg.dial == nil {
		return nil, invalid("WithMaintenance: Mode is On, but New has no way to make connections of its own; add WithDial, or use Open")
	}
	e := &Engine{env: env{cfg: cfg}, layout: layout}
	renewal := cfg.renewalClient
	if renewal == nil && cfg.dial != nil {
		own, err := cluster.NewClient(tuned(*cfg.dial, cfg))
		if err != nil {
			return nil, fmt.Errorf("connecting to Redis for renewals: %w", lease.Explain(err))
		}
		renewal = own
		e.own, e.closers = append(e.own, own), append(e.closers, own.Close)
	}
	if renewal == nil {
		renewal = client
	}
	if err := e.build(service, renewal, client); err != nil {
		e.closeClients()
		return nil, err
	}
	return e, nil
}

// Open makes an engine with two clients of its own, one for renewals and one for the rest, with what is zero in opt filled
// in as [ClientOption] does. They are closed when the engine has ended. Errors are those of New, and those of connecting.
func Open(opt rueidis.ClientOption, service string, opts ...Option) (*Engine, error) {
	cfg, _, err := resolve(service, opts)
	if err != nil {
		return nil, err
	}
	opt = tuned(opt, cfg)
	client, err := cluster.NewClient(opt)
	if err != nil {
		return nil, fmt.Errorf("connecting to Redis: %w", lease.Explain(err))
	}
	e, err := New(client, service, append(opts[:len(opts):len(opts)], WithDial(opt))...)
	if err != nil {
		client.Close()
		return nil, err
	}
	e.own, e.closers = append(e.own, client), append(e.closers, client.Close)
	return e, nil
}

// build puts the parts together; none of them runs yet.
func (e *Engine) build(service string, renewal, client rueidis.Client) error {
	e.client, e.renewal = client, renewal
	e.name = newConsumerName(e.cfg.consumerID)
	e.clock = lease.NewClock()
	e.log = sumlog.New(e.cfg.logger.With("service", service))
	e.log.Through(outbox.New(e.log.Handle, func(r outbox.Result, _ error) { e.countHook(metrics.HookLog, r) }))
	e.hooks = outbox.New(e.cfg.events, e.hooked)
	e.quota = quota.NewStreams(e.cfg.maxStreams, e.layout.Partitions(), func() int { return e.table.Len() }, e.room.Broadcast)
	e.reading = quota.NewMemory(e.cfg.readMemory/2, e.layout.Partitions(), e.lanes.of)
	e.breakers = &breakers{env: &e.env, lane: e.lanes.of}
	e.life.init()
	for n := range e.layout.Partitions() {
		e.partitions = append(e.partitions, newPartition(n, e.name))
	}
	var err error
	if e.table, err = lease.NewTable(e.clock, e.layout.Partitions(), e.cfg.wheel); err != nil {
		return invalid("WithWheel: %w", err)
	}
	if e.metrics, err = metrics.New(e.cfg.registerer, service, e.collectGauges); err != nil {
		return err
	}
	e.pressure = newPressure(&e.env, pressureParts{
		partitions: e.partitions, table: e.table, streams: e.quota, memory: e.reading, changed: e.room.Broadcast,
		draining: e.draining, queued: func() int { return e.dispatcher.Waiting() },
	})
	e.maintenance = newMaintenance(&e.env, e.layout, e.partitions, e.nodes)
	e.store = redisStore{lease.NewStore(e.layout, lease.Settings{
		LeaseTTL:   e.cfg.leaseTTL,
		SessionTTL: e.cfg.sessionTTL,
		Gap:        e.cfg.gap,
		Settle:     e.cfg.settle,
		Timeout:    e.cfg.timeout,
		Relaxed:    e.maintenance.relaxed,
		DeadLimit:  max(e.cfg.recovery.DLQMaxLen, 0),
		DeadTrim:   e.cfg.recovery.DLQTrim,
		DeadDelay:  e.cfg.recovery.DLQFullDelay,
		Limits:     e.cfg.limits,
		MaxMove:    e.cfg.maxMove(),
	}, renewal, client, e.metrics.Script)}
	e.scan = scan.NewStore(e.layout, scan.Settings{
		Config:     e.cfg.recovery,
		SessionTTL: e.cfg.sessionTTL,
		Gap:        e.cfg.gap,
		Settle:     e.cfg.settle,
		Timeout:    e.cfg.timeout,
		Relaxed:    e.maintenance.relaxed,
		Page:       e.cfg.pipeline.MaxMoves(),
		MaxMove:    e.cfg.maxMove(),
	}, client, e.metrics.Script)
	return nil
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

func tokenText(t api.Token) string { return strconv.FormatUint(uint64(t), 10) }
