package engine

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/breaker"
	"github.com/streamlease/streamlease/cluster/dialer"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/outbox"
	"github.com/streamlease/streamlease/engine/internal/quota"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// New makes an engine that uses client, which the caller closes after the engine has ended. Producers use the same service name.
// Errors match api.ErrInvalidConfig, apart from those of the registerer and, with WithDial, of connecting, which are as with [Open].
// No command is sent to Redis before the engine is started.
//
// New cannot read the options of the client: make the client with those of [ClientOption]. WithRenewalClient, WithDial and [Open]
// give renewals a connection of their own, and the last two allow the engine to listen for maintenance notices. [Preflight]
// checks the servers.
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
		own, err := ownClient(cfg, connected(client))
		if err != nil {
			return nil, err
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

// Open makes an engine with two clients of its own, one for renewals and one for everything else. It fills in zero fields of opt
// as [ClientOption] does. The clients are closed when the engine has ended.
//
// A program may start before Redis does: Open makes one attempt to connect, which takes up to the dial timeout, and where Redis is
// away it returns the engine all the same; Run and the others then go on trying until their context ends, with a line in the log
// every ten seconds. Errors are those of New, and those of connecting that waiting does not mend: a wrong or missing password, an
// answer that is not Redis's, TLS on one side only (api.ErrNotRedis).
func Open(opt rueidis.ClientOption, service string, opts ...Option) (*Engine, error) {
	cfg, _, err := resolve(service, opts)
	if err != nil {
		return nil, err
	}
	opt = tuned(opt, cfg)
	cfg.dial = &opt
	client, err := ownClient(cfg, true)
	if err != nil {
		return nil, err
	}
	e, err := New(client, service, append(opts[:len(opts):len(opts)], WithDial(opt), withDialer(cfg.dialer))...)
	if err != nil {
		client.Close()
		return nil, err
	}
	e.own, e.closers = append(e.own, client), append(e.closers, client.Close)
	e.connector.clients = e.own
	return e, nil
}

// build makes what exists before the engine is started; none of it runs yet, and assemble makes the rest. The quota reads e.table
// and pressure e.dispatcher through closures, since those are made later.
func (e *Engine) build(service string, renewal, client rueidis.Client) error {
	e.client, e.renewal = client, renewal
	e.names = newConsumerNames(e.cfg.consumerID)
	e.clock = lease.NewClock()
	e.log = sumlog.New(e.cfg.logger.With("service", service))
	e.log.Through(outbox.New(e.log.Handle, func(r outbox.Result, _ error) { e.countHook(metrics.HookLog, r) }))
	e.hooks = outbox.New(e.cfg.events, e.hooked)
	e.quota = quota.NewStreams(streamLimit(e.cfg.maxStreams), e.layout.Partitions(), func() int { return e.table.Len() }, e.room.Broadcast)
	e.reading = quota.NewMemory(e.cfg.readMemory/2, e.layout.Partitions(), e.lanes.of)
	e.breakers = &breakers{env: &e.env, lane: e.lanes.of, set: breaker.New(e.cfg.breaker)}
	e.life.init(e.cfg.drainTimeout)
	for n := range e.layout.Partitions() {
		e.partitions = append(e.partitions, newPartition(n, e.names.run))
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
	e.balancer = newBalancer(&e.env, balancerParts{
		partitions: e.partitions, table: e.table, streams: e.quota, behind: e.pressure.handlersBehind, stopped: e.pressure.stopped,
		draining: e.draining, changed: e.room.Broadcast,
		beat: func(partition int) {
			if e.life.isRunning() {
				e.renewer.beatNow(partition)
			}
		},
	})
	e.balancer.calls = lease.NewBalance(e.layout, e.clock, e.balancer.standing, e.balancer.answered, e.balancer.refused)
	e.positions = lease.NewSignals(e.layout, e.clock, func(p int, err error) {
		e.metrics.Inc(metrics.SignalReads.With(metrics.SignalReadRefused))
		e.log.Warn("signals are refused; going on without them", 1, "partition", p, "err", lease.Explain(err))
	})
	e.connector = &connector{env: &e.env, clients: e.own}
	e.maintenance = newMaintenance(&e.env, e.layout, e.partitions, dialerOf(e.cfg), e.nodes)
	e.makeStores(renewal, client)
	e.leaver = newLeaver(&e.env, func() shutStore { return e.store })
	return nil
}

// connect connects the clients that have not connected yet, and learns what kind of server they found.
func (e *Engine) connect(ctx context.Context) error {
	if connected(e.client) && connected(e.renewal) {
		return nil
	}
	if err := e.connector.connect(ctx); err != nil {
		return err
	}
	if e.client.Mode() != rueidis.ClientModeCluster {
		return nil
	}
	// As New does where the client is connected. Nothing has been sent yet, and only the stores know the TTL.
	if err := e.cfg.onCluster(); err != nil {
		return err
	}
	e.makeStores(e.renewal, e.client)
	return nil
}

// observe counts a call of a script, and logs one that failed: what follows is decided and logged by whoever made it.
func (e *Engine) observe(script string, took time.Duration, err error) {
	e.metrics.Script(script, took, err)
	if err != nil && !rueidis.IsRedisNil(err) {
		e.log.Debug("a call failed", "script", script, "took", took, "err", err)
	}
}

// makeStores makes the two stores, which send all commands: one for leases and sessions, one for dead consumers and backlogs.
func (e *Engine) makeStores(renewal, client rueidis.Client) {
	e.store = redisStore{lease.NewStore(e.layout, lease.Settings{
		LeaseTTL:   e.cfg.leaseTTL,
		SessionTTL: e.cfg.sessionTTL,
		Gap:        e.cfg.gap,
		Settle:     e.cfg.settle,
		Timeout:    e.cfg.timeout,
		Relaxed:    e.maintenance.relaxed,
		DeadLimit:  e.cfg.recovery.DeadLimit(),
		DeadTrim:   e.cfg.recovery.DLQTrim,
		DeadDelay:  e.cfg.recovery.DLQFullDelay,
		Limits:     e.cfg.limits,
		MaxMove:    e.cfg.maxMove(),
		Signals:    e.positions,
		Balance:    e.balancer.calls,
		Hook:       e.ScriptHook(),
	}, renewal, client, e.observe)}
	e.scan = scan.NewStore(e.layout, scan.Settings{
		Config:     e.cfg.recovery,
		SessionTTL: e.cfg.sessionTTL,
		Gap:        e.cfg.gap,
		Settle:     e.cfg.settle,
		Timeout:    e.cfg.timeout,
		Relaxed:    e.maintenance.relaxed,
		Page:       e.cfg.pipeline.MaxMoves(),
		MaxMove:    e.cfg.maxMove(),
		Signals:    e.positions,
		Hook:       e.ScriptHook(),
	}, client, e.observe)
}

// dialerOf returns the dialer of an engine's own clients, for options that are complete; nil if nobody asks for notices.
func dialerOf(cfg *config) *dialer.Dialer {
	if cfg.dialer == nil && cfg.dial != nil && cfg.notices.Mode != notice.Off {
		cfg.dialer = dialer.New(tuned(*cfg.dial, cfg))
	}
	return cfg.dialer
}

// withDialer sets the dialer of an engine some of whose clients are made already.
func withDialer(d *dialer.Dialer) Option { return option(func(c *config) { c.dialer = d }) }

// ownClient makes a client of the engine's own, and one attempt to connect it if that is asked for: see prepare.
func ownClient(cfg *config, attempt bool) (*cluster.Client, error) {
	if d := dialerOf(cfg); d != nil {
		return prepare(d.ClientOption(cfg.notices.RelaxedTimeout), attempt)
	}
	return prepare(tuned(*cfg.dial, cfg), attempt)
}
