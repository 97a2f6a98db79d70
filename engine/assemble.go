package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/dialer"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/lease"
)

// assemble makes the parts that run. None takes a stream before start has succeeded.
//
// The order is that of use: a part is made after the parts that it is given. Where two parts use each other, the later one is
// filled in when it exists. sessions is made empty and gets its parts once all of them are made, since the completer, the
// ownership and the renewer need it and it needs them; the acquirer gets the parked list in the same way. A closure over e reads
// its field late: e.parked, e.hints, e.completer, e.renewer, e.recoverer, e.promoter and e.revalidations are used like that by
// parts made before them. That is safe because no part calls another one before run starts the loops.
func (e *Engine) assemble(base context.Context, to delivery) (err error) {
	if e.dispatcher, err = e.makeDispatcher(to); err != nil {
		return err
	}
	e.ttls = &ttls{env: &e.env, store: e.store, windows: e.maintenance}
	e.topology = e.makeTopologyWatcher()
	e.legacy = newLegacyWatch(&e.env, len(e.partitions), e.store)
	e.agreement = e.makeAgreement()
	e.sessions = &sessions{env: &e.env}
	e.signaled = &signaled{}
	e.checkpoints = newCheckpoints(base, &e.env, e.partitions, e.table, func() { e.renewer.nudge() }, e.lanes.of, e.store)
	e.completer = e.makeCompleter(base)
	e.ownership = e.makeOwnership(to)
	e.renewer = e.makeRenewer(base)
	a := e.makeAcquirer()
	e.signals = e.makeSignals(base)
	e.parked = e.makeParked(base, a)
	a.parked, a.signals = e.parked, e.signals
	e.sessions.sessionParts = e.sessionParts(base)
	e.reader = e.makeReader(a)
	e.shedder = newShedder(&e.env, shedderParts{balancer: e.balancer, table: e.table, ownership: e.ownership, draining: e.draining})
	e.wishes = newWishes(&e.env, e.scan, e.names.id, func(w wanted) bool { return e.balancer.wish(w) }, e.shedder.nudge)
	e.backlogs = newBacklogs(&e.env, len(e.partitions), e.scan)
	e.predecessors = newPredecessors(&e.env, e.scan, e.layout.Service(), e.names.run, len(e.partitions))
	e.recoverer = e.makeRecoverer(base)
	if e.hints, err = e.makeHints(to); err != nil {
		return err
	}
	e.promoter = newPromoter(base, &e.env, e.partitions, e.lanes.of, e.store)
	e.revalidations = e.makeRevalidations()
	e.follower = e.makeFollower()
	e.maintenance.attach(maintenanceParts{
		renewer: e.renewer, revalidate: e.revalidations.windowChanged, topology: e.topology, recoverer: e.recoverer, follow: e.follower.follow,
	})
	return nil
}

func (e *Engine) makeDispatcher(to delivery) (*dispatch.Dispatcher, error) {
	return dispatch.New(dispatch.Config{
		Workers: e.cfg.workers,
		Deliver: func(n api.Notification, done func(error)) {
			e.room.Broadcast() // one stream less waits for a worker
			to.deliver(n, done)
		},
		Finished: func(n api.Notification, err error, took time.Duration) { e.delivered(to, n, err, took) },
		Idle:     func(stream string) { e.parked.nudge(stream); e.room.Broadcast() },
	})
}

func (e *Engine) makeTopologyWatcher() *topologyWatcher {
	return newTopologyWatcher(&e.env, topologyConfig{
		layout:     e.layout,
		partitions: e.partitions,
		table:      e.table,
		lanes:      &e.lanes,
		client:     e.client,
		renewal:    e.renewal,
		own:        e.clients,
		changed:    e.way.changed,
		named:      e.keepRoutes,
		regroup: func() {
			for _, q := range []interface{ Regroup() }{e.renewer.work, e.completer, e.parked.work, e.recoverer.work, e.promoter.work, e.signals.work, e.checkpoints.work} {
				q.Regroup()
			}
		},
		beat:    func(partition int) { e.renewer.beatNow(partition) },
		scan:    func(partition int) { e.recoverer.lookNow(partition) },
		failing: e.lastFailure,
	})
}

func (e *Engine) makeAgreement() *agreement {
	return newAgreement(agreementConfig{
		ask:     func(ctx context.Context) error { return e.store.Confirm(ctx) },
		refused: e.disagree,
		restored: func() {
			e.event(api.EventAgreed, api.NoPartition, nil, "")
		},
		failed: func(err error) {
			e.log.Warn("asking whether the service is what it was fails", 1, "err", err)
		},
		random: rand.Float64, // not the engine's: nothing that is seeded depends on it
	})
}

// backlogReads is the backlog of completions, in full reads: with more under way, the next read waits to be taken in; with more
// refused, there is no next read.
const backlogReads = 4

func (e *Engine) makeCompleter(base context.Context) *completion.Completer {
	return completion.New(base, completion.Config{
		Layout:      e.layout,
		Clock:       e.clock,
		Log:         e.log,
		Metrics:     e.metrics,
		Random:      e.random,
		Policy:      e.cfg.recovery,
		Retry:       e.cfg.retry,
		Backoff:     e.backoff,
		Draining:    e.draining,
		Lane:        e.lanes.of,
		MaxInFlight: e.cfg.pipeline.MaxInFlight,
		MaxMoves:    e.cfg.pipeline.MaxMoves(),
		Backlog:     backlogReads * e.cfg.readBatch,
	}, e.store, e.sessions, completion.Hooks{
		Ended: func(l *lease.Lease) {
			e.leaving(l)
			e.leaver.forget(l)
			if e.table.Remove(l) {
				e.freed(l.Stream())
			}
		},
		Hold:     e.reading.Add,
		Delayed:  func(partition int, d time.Duration) { e.promoter.soon(partition, d) },
		Unsaved:  e.checkpoints.refused,
		Progress: e.room.Broadcast,
		Tampered: func(partition int) { e.partitions[partition].compareSoon(e.clock.Now()) },
	})
}

func (e *Engine) makeOwnership(to delivery) *ownership {
	return &ownership{
		env: &e.env, table: e.table, dispatcher: e.dispatcher, completer: e.completer, way: to, freed: e.freed, leaving: e.leaving,
		ended: func(l *lease.Lease) { e.leaver.forget(l) },
		lost:  func(stream string) { e.hints.lost(stream) }, signaled: e.signaled,
	}
}

func (e *Engine) makeRenewer(base context.Context) *renewer {
	return newRenewer(base, &e.env, renewerParts{
		partitions: e.partitions, table: e.table, ttls: e.ttls, sessions: e.sessions, ownership: e.ownership,
		lane: e.lanes.of, unanswered: e.topology.failed, onLook: e.pressure.look,
		revalidate: func(now int64) int64 { return e.revalidations.look(now) }, save: e.checkpoints,
	})
}

func (e *Engine) makeAcquirer() *acquirer {
	return &acquirer{
		env: &e.env, ttls: e.ttls, table: e.table, sessions: e.sessions, ownership: e.ownership, completer: e.completer,
		busy: e.busy, renewer: e.renewer, unreadable: e.checkpoints.refused,
	}
}

func (e *Engine) makeParked(base context.Context, a *acquirer) *parked {
	return newParked(base, &e.env, parkedParts{
		partitions: e.partitions, table: e.table, ttls: e.ttls, pressure: e.pressure, streams: e.quota, ownership: e.ownership,
		completer: e.completer, acquirer: a, busy: e.busy, lane: e.lanes.of, signals: e.signals,
	})
}

func (e *Engine) makeSignals(base context.Context) *signals {
	return newSignals(base, &e.env, len(e.partitions), e.lanes.of, signalParts{
		wished: func() { e.wishes.nudge() },
		store:  e.store, positions: e.positions, table: e.table, ownership: e.ownership,
		freed:  func(stream string) { e.parked.freedElsewhere(stream) },
		hasten: func(partition int, within time.Duration) { e.parked.hasten(partition, within) },
		missed: func(partition int) {
			if e.life.isRunning() { // nothing is owned before that
				e.way.signalsMissed(partition)
			}
		},
	})
}

func (e *Engine) sessionParts(base context.Context) sessionParts {
	return sessionParts{
		base: base, partitions: e.partitions, names: e.names, ttls: e.ttls, table: e.table, ownership: e.ownership, agreement: e.agreement,
		renewer: e.renewer, topology: e.topology,
		draining:      e.draining,
		running:       e.life.isRunning,
		answered:      e.breakers.answered,
		serverChanged: func() { e.maintenance.serverChanged(); e.way.changed() },
		made:          e.checkpoints.attach,
		report:        e.balancer.calls.ReportNow,
		drop:          e.parked.list.Drop,
		retire:        func(s *lease.Session) { e.completer.Retire(s, completion.Closing{}) },
		promote:       func(partition int) { e.promoter.due(partition) },
		promoteIn:     func(partition int, d time.Duration) { e.promoter.soon(partition, d) },
		alarm:         func(partition int) { e.recoverer.alarm(partition) },
		signals:       e.signals,
	}
}

// makeReader makes the reader and what only reading uses: the intake, the forwarder and the reconciler.
func (e *Engine) makeReader(a *acquirer) *reader {
	known := &inventory{parked: e.parked.list, table: e.table, completer: e.completer}
	in := &intake{
		env: &e.env, layout: e.layout, streams: e.quota, inventory: known, completer: e.completer, acquirer: a,
		forwarder: &forwarder{
			env: &e.env, store: e.store, partitions: e.partitions, lane: e.lanes.of, breakers: e.breakers, completer: e.completer,
		},
	}
	return &reader{
		env: &e.env, store: e.store, ttls: e.ttls, legacy: e.legacy, agreement: e.agreement, breakers: e.breakers, room: &e.room,
		memory: e.reading, streams: e.quota, pressure: e.pressure, balancer: e.balancer, completer: e.completer, intake: in, reopen: e.sessions.Reopen,
		reconciler: &reconciler{
			env: &e.env, store: e.store, layout: e.layout, inventory: known, parked: e.parked.list, table: e.table,
			ownership: e.ownership, completer: e.completer, intake: in, reopen: e.sessions.Reopen,
		},
	}
}

func (e *Engine) makeRecoverer(base context.Context) *recoverer {
	return newRecoverer(base, &e.env, recovererConfig{
		store:      e.scan,
		past:       e.predecessors,
		partitions: e.partitions,
		lane:       e.lanes.of,
		gate:       e.breakers,
		holdsOff:   e.maintenance.holdsOff,
		isRetiring: e.completer.IsRetiring,
		mayRecover: e.legacy.mayRecover,
		measure:    e.backlogs.measure,
		left:       e.takeOut,
	})
}

// makeHints returns nil unless WithExpired was given.
func (e *Engine) makeHints(to delivery) (*hints, error) {
	if !e.cfg.expired {
		return nil, nil
	}
	return newHints(&e.env, hintsConfig{
		layout: e.layout, table: e.table, nodes: e.client.Nodes, stale: func() bool { return e.maintenance.stale.Swap(false) },
		deliver: to.deliver, finished: func(n api.Notification, err error, took time.Duration) { e.delivered(to, n, err, took) },
	})
}

func (e *Engine) makeRevalidations() *revalidations {
	return &revalidations{
		env: &e.env, table: e.table, partitions: e.partitions,
		window: e.maintenance.window, beatNow: e.renewer.beatNow, slack: e.pressure.slack,
	}
}

// makeFollower makes the follower, and tells the dialer, which exists before the engine does, what it has to know of it.
func (e *Engine) makeFollower() *follower {
	f := &follower{
		env: &e.env, dialer: e.cfg.dialer, partitions: len(e.partitions), serves: e.topology.serves,
		beat: func(partition int) { e.renewer.beatNow(partition) }, nudge: e.topology.nudge, back: e.maintenance.returned,
		beaten: make(map[string]int64),
	}
	if f.dialer != nil {
		f.dialer.Configure(dialer.Config{Relaxed: e.maintenance.relaxed, Returned: f.returned})
	}
	return f
}

// disagree gives up everything because the service is no longer what it was: the sessions end, all that is pending for them is
// requeued where it was read, and no session is opened until the service is what it was again.
func (e *Engine) disagree(err error) {
	e.event(api.EventDisagreed, api.NoPartition, err, "all streams are disowned, nothing is taken")
	for _, p := range e.partitions {
		if s, _ := p.view(); s != nil {
			e.sessions.lose(p, s, disagreement(err))
		}
	}
}

// delivered acts on the outcome of a notification: the end of Releasing hands the stream back where the way does that, and an error
// is that of failed.
func (e *Engine) delivered(to delivery, n api.Notification, err error, took time.Duration) {
	err = guard.Error(err)
	e.metrics.Handled(n, err, took)
	e.room.Broadcast()
	switch n.Kind {
	case api.Expired:
		e.hints.handled()
	case api.Signaled:
		if l, _ := n.Lease.(*lease.Lease); l != nil {
			e.signaled.release(l)
		}
	case api.Releasing:
		if l, _ := n.Lease.(*lease.Lease); to.handsBack() {
			l.HandBackFor(n.Err)
		}
	}
	if err != nil {
		e.failed(n, err)
	}
}

// failed acts on an error of a handler: that of Added fails the lease, and any other is only logged.
func (e *Engine) failed(n api.Notification, err error) {
	if n.Kind != api.Added {
		e.ignored(n, err)
		return
	}
	e.logPanic(n, err)
	if l, _ := n.Lease.(*lease.Lease); l.FailFor(err) {
		if _, snoozed := api.SnoozeDelay(err); !snoozed {
			e.log.Warn("handling failed", 1, "attempt", l.Attempt(), "err", err)
		}
	}
}

// ignored logs an error of a handler that changes nothing.
func (e *Engine) ignored(n api.Notification, err error) {
	if !e.logPanic(n, err) {
		e.log.Warn("handler returned an error that has no effect", 1, "kind", n.Kind, "err", err)
	}
}

// logPanic logs an error that is a panic, and reports whether it is one.
func (e *Engine) logPanic(n api.Notification, err error) bool {
	var panicked *api.PanicError
	if !errors.As(err, &panicked) {
		return false
	}
	e.log.Error("handler panicked", "kind", n.Kind, "panic", panicked.Value, "stack", string(panicked.Stack))
	return true
}

// takeOut takes a consumer that is dead out of the fleet, before what it left is handed out: the others share it.
func (e *Engine) takeOut(ctx context.Context, partition int, consumer string) {
	if err := e.store.Leave(ctx, partition, consumer); err != nil && ctx.Err() == nil {
		e.log.Debug("a dead consumer counts until the next scan", "partition", partition, "err", lease.Explain(err))
	}
}

// busy reports whether work for an earlier lease of a stream goes on, or waits for a worker. The dispatcher is asked first: what it is
// done with and goes on is known to the delivery by then.
func (e *Engine) busy(stream string) bool { return e.dispatcher.Busy(stream) || e.way.busy(stream) }

// leaving is called before a lease is taken off the table.
func (e *Engine) leaving(l *lease.Lease) { e.way.leaving(l) }

// freed is called when a stream is off the table, and wakes whatever waited for that.
func (e *Engine) freed(stream string) {
	e.parked.nudge(stream)
	e.room.Broadcast()
}

// draining reports whether the engine has begun to drain.
func (e *Engine) draining() bool { return e.life.drain.Err() != nil }

// keepRoutes ends routes to endpoints in place of addresses that no client of a cluster knows any more.
func (e *Engine) keepRoutes() {
	if e.cfg.dialer == nil {
		return
	}
	known := make(map[string]bool)
	for _, c := range []rueidis.Client{e.client, e.renewal} {
		for addr := range c.Nodes() {
			known[addr] = true
		}
	}
	e.cfg.dialer.Keep(func(addr string) bool { return known[addr] })
}

// lastFailure returns why Redis does not answer, nil if it does.
func (e *Engine) lastFailure() error {
	for _, p := range e.partitions {
		p.mu.Lock()
		failing := p.mu.failing
		p.mu.Unlock()
		if failing != nil {
			return lease.Explain(failing)
		}
	}
	return nil
}
