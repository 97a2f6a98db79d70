package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/dispatch"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/lease"
)

// Run owns streams until ctx ends or Shutdown is called, and then drains: every stream that is held is told Releasing
// and handed back, handlers may end within the drain timeout. It returns nil after a clean drain.
//
// The handler is called on at most WithWorkers goroutines, for one stream one notification at a time and in order. Its
// context carries the values of ctx and not its end; it ends when the engine gives up waiting for handlers.
//
// It returns early, with nothing taken, when the service cannot be used as configured: api.ErrPartitionMismatch,
// api.ErrFormat, api.ErrServiceStopped, api.ErrForeignConsumers, missing rights, keys of another type. While Redis is out of reach it tries
// again until ctx ends. api.ErrStarted and api.ErrClosed: an engine starts once. api.ErrDrainTimeout: handlers did not
// end, or Redis did not take back, in time; nothing is lost, others recover it when the session has ended. api.ErrNotHandedBack:
// somebody moved or deleted announcements by hand, so that handing them back did nothing.
func (e *Engine) Run(ctx context.Context, h api.Handler) error {
	if h == nil {
		return invalid("the handler is nil")
	}
	if err := e.life.begin(); err != nil {
		return err
	}
	return e.run(ctx, func(handling context.Context) delivery { return &handled{ctx: handling, handler: h} })
}

// Start is the channel way, for those who come from a library that has it: Added, Disowned, Releasing and the others
// arrive on the channel; Terminated is the last, then the channel is closed. It returns when the engine has started to
// start: errors of the service (see Run) come with Terminated, in Err.
//
// The channel holds one notification; while nobody receives, up to WithWorkers of them wait to be sent, nothing more is
// read from Redis, and renewal goes on. After Releasing, end the lease with Release, Done or Fail; the drain timeout ends what is
// left. The engine drains when ctx ends or Shutdown is called.
func (e *Engine) Start(ctx context.Context) (<-chan api.Notification, error) {
	if err := e.life.begin(); err != nil {
		return nil, err
	}
	out := make(chan api.Notification, 1)
	go func() {
		_ = e.run(ctx, func(handling context.Context) delivery { return &channel{ctx: handling, out: out} })
	}()
	return out, nil
}

// RunEach runs f in a goroutine of its own for every stream: nil means Done, an error means Fail (Permanent and Snooze
// as ever). A panic is an error, and so is an end of the goroutine by runtime.Goexit, as t.FailNow does it: an
// *api.PanicError that matches api.ErrGoexit. The goroutines are the only thing that grows with the number of streams.
//
// f's context ends when the lease does, and, with the cause api.ErrReleasing, when the stream is to be handed back:
// then f should come to a stop and return the context's error, which hands the stream back and counts no retry. The
// lease is valid until f returns or the drain timeout ends. A return of nil is Done even then. What f returns after the
// lease was lost has no effect. Everything else is as with Run.
func (e *Engine) RunEach(ctx context.Context, f func(context.Context, api.Lease) error) error {
	if f == nil {
		return invalid("the function is nil")
	}
	if err := e.life.begin(); err != nil {
		return err
	}
	var way *each
	err := e.run(ctx, func(handling context.Context) delivery {
		way = &each{ctx: handling, f: f, running: make(map[*lease.Lease]context.CancelCauseFunc)}
		return way
	})
	return err
}

// run is the whole life of an engine.
func (e *Engine) run(ctx context.Context, way func(handling context.Context) delivery) (err error) {
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	e.base = base
	defer func() {
		end(api.ErrClosed)
		e.metrics.Close()
		e.closeClients()
		e.closeHooks()
		e.life.setRunning(false)
		e.life.err = err
		close(e.life.ended)
	}()
	handling, stopHandling := context.WithCancelCause(base)
	e.stopHandling = stopHandling
	to := way(handling)
	e.way = to
	if err := e.assemble(base, to); err != nil {
		e.finish(to, err)
		return err
	}
	var group sync.WaitGroup
	group.Go(func() { e.renewer.loop(base) })
	group.Go(func() { e.watch(base, to) })
	defer group.Wait()
	defer end(api.ErrClosed)

	starting, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(e.life.drain, cancel)()
	e.topology.look(starting) // a master that hangs must not hold up the first calls to the others
	group.Go(func() { e.topology.loop(base) })
	group.Go(func() { e.maintenance.run(base) })
	group.Go(func() { e.agreement.loop(base) })
	err = e.start(starting)
	cancel()
	if err != nil {
		if errors.Is(err, errStopped) {
			err = nil
		}
		e.closeOpened()
		e.dismantle(to, err)
		return err
	}
	e.life.setRunning(true)

	reading, stopReading := context.WithCancel(base)
	var readers sync.WaitGroup
	e.recoverer.begin()
	for _, p := range e.partitions {
		readers.Go(func() { e.reader.read(reading, p) })
	}
	if e.hints != nil {
		// The drain does not wait for it: a server that hangs may keep it for a timeout.
		group.Go(func() { e.hints.watcher.Run(reading) })
	}
	select {
	case <-ctx.Done():
	case <-e.life.drain.Done():
	}
	stopReading()
	return e.drain(to, &readers)
}

// hooksPatience is how long the end of an engine waits for the user's hooks.
const hooksPatience = time.Second

// closeHooks waits a moment for the user's hooks to take what they have not yet been handed.
func (e *Engine) closeHooks() {
	ctx, cancel := context.WithTimeout(context.Background(), hooksPatience)
	defer cancel()
	defer context.AfterFunc(e.life.hurry, func() {
		backoff.Sleep(ctx, lastWord)
		cancel()
	})()
	e.hooks.Close(ctx)
	e.log.Close(ctx)
}

// assemble makes the parts that run. None takes a stream before start has succeeded.
func (e *Engine) assemble(base context.Context, to delivery) (err error) {
	e.dispatcher, err = dispatch.New(dispatch.Config{
		Workers: e.cfg.workers,
		Deliver: func(n api.Notification, done func(error)) {
			e.room.Broadcast() // one stream less waits for a worker
			to.deliver(n, done)
		},
		Finished: func(n api.Notification, err error, took time.Duration) { e.delivered(to, n, err, took) },
		Idle:     func(stream string) { e.parked.nudge(stream); e.room.Broadcast() },
	})
	if err != nil {
		return err
	}
	e.ttls = &ttls{env: &e.env, store: e.store, windows: e.maintenance}
	e.topology = e.watchingTopology()
	e.legacy = newLegacyWatch(&e.env, len(e.partitions), e.store)
	e.agreement = e.agreeing()
	e.sessions = &sessions{env: &e.env}
	e.completer = newCompleter(base, e)
	e.ownership = &ownership{
		env: &e.env, table: e.table, dispatcher: e.dispatcher, completer: e.completer, way: to, freed: e.freed,
		lost: func(stream string) { e.hints.lost(stream) },
	}
	e.renewer = newRenewer(base, &e.env, renewerParts{
		partitions: e.partitions, table: e.table, ttls: e.ttls, sessions: e.sessions, ownership: e.ownership,
		lane: e.lanes.of, unanswered: e.topology.failed, onLook: e.pressure.look,
		revalidate: func(now int64) int64 { return e.revalidations.look(now) },
	})
	a := &acquirer{
		env: &e.env, ttls: e.ttls, table: e.table, sessions: e.sessions, ownership: e.ownership, completer: e.completer,
		dispatcher: e.dispatcher, renewer: e.renewer,
	}
	e.parked = newParked(base, &e.env, parkedParts{
		partitions: e.partitions, table: e.table, ttls: e.ttls, pressure: e.pressure, streams: e.quota, ownership: e.ownership,
		completer: e.completer, acquirer: a, busy: e.dispatcher.Busy, lane: e.lanes.of,
	})
	a.parked = e.parked
	e.sessions.sessionParts = sessionParts{
		base: base, parts: e.partitions, ttls: e.ttls, table: e.table, ownership: e.ownership, agreement: e.agreement,
		renewer: e.renewer, topology: e.topology,
		draining:      e.draining,
		running:       e.life.isRunning,
		answered:      e.breakers.answered,
		serverChanged: e.maintenance.serverChanged,
		drop:          e.parked.list.Drop,
		retire:        e.completer.Retire,
		promote:       func(partition int) { e.promoter.work.Add(partition) },
		alarm:         func(partition int) { e.recoverer.alarm(partition) },
	}
	known := &inventory{parked: e.parked.list, table: e.table, completer: e.completer}
	in := &intake{
		env: &e.env, layout: e.layout, streams: e.quota, inventory: known, completer: e.completer, acquirer: a,
		forwarder: &forwarder{
			env: &e.env, store: e.store, partitions: e.partitions, lane: e.lanes.of, breakers: e.breakers, completer: e.completer,
		},
	}
	e.reader = &reader{
		env: &e.env, store: e.store, ttls: e.ttls, legacy: e.legacy, agreement: e.agreement, breakers: e.breakers, room: &e.room,
		memory: e.reading, streams: e.quota, pressure: e.pressure, completer: e.completer, intake: in, reopen: e.sessions.Reopen,
		reconciler: &reconciler{
			env: &e.env, store: e.store, layout: e.layout, inventory: known, parked: e.parked.list, table: e.table,
			ownership: e.ownership, completer: e.completer, intake: in, reopen: e.sessions.Reopen,
		},
	}
	e.backlogs = newBacklogs(&e.env, len(e.partitions), e.scan)
	e.recoverer = e.recovering(base)
	if e.cfg.expired {
		if e.hints, err = newHints(e, to); err != nil {
			return err
		}
	}
	e.promoter = newPromoter(base, &e.env, e.partitions, e.lanes.of, e.store)
	e.revalidations = &revalidations{
		env: &e.env, table: e.table, partitions: e.partitions,
		window: e.maintenance.window, beatNow: e.renewer.beatNow, slack: e.pressure.slack,
	}
	e.maintenance.attach(maintenanceParts{
		renewer: e.renewer, revalidate: e.revalidations.windowChanged, topology: e.topology, recoverer: e.recoverer, reset: e.ResetTopology,
	})
	return nil
}

// watchingTopology makes the topology watcher of an engine, before the parts that it acts on.
func (e *Engine) watchingTopology() *topologyWatcher {
	return newTopologyWatcher(&e.env, topologyConfig{
		layout:     e.layout,
		partitions: e.partitions,
		table:      e.table,
		lanes:      &e.lanes,
		client:     e.client,
		renewal:    e.renewal,
		own:        e.own,
		regroup: func() {
			for _, q := range []interface{ Regroup() }{e.renewer.work, e.completer, e.parked.work, e.recoverer.work, e.promoter.work} {
				q.Regroup()
			}
		},
		beat:    func(partition int) { e.renewer.beatNow(partition) },
		scan:    func(partition int) { e.recoverer.lookNow(partition) },
		failing: e.lastFailure,
	})
}

// agreeing makes the agreement of an engine.
func (e *Engine) agreeing() *agreement {
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

// disagree gives up everything: the sessions end, all that is pending for them goes back to where it was read, and none is
// opened while the service is another one than it was.
func (e *Engine) disagree(err error) {
	e.event(api.EventDisagreed, api.NoPartition, err, "all streams are disowned, nothing is taken")
	for _, p := range e.partitions {
		if s, _ := p.view(); s != nil {
			e.sessions.lose(p, s, disagreement(err))
		}
	}
}

// recovering makes the recoverer of an engine.
func (e *Engine) recovering(base context.Context) *recoverer {
	return newRecoverer(base, &e.env, recovererConfig{
		store:      e.scan,
		partitions: e.partitions,
		lane:       e.lanes.of,
		gate:       e.breakers,
		holdsOff:   e.maintenance.holdsOff,
		isRetiring: e.completer.IsRetiring,
		mayRecover: e.legacy.mayRecover,
		measure:    e.backlogs.measure,
	})
}

// start checks that the service is the one that was configured and waits until every partition has a session, or some
// have and the others fail: a master that is down, or a slot that migrates for an hour, must not keep a new process from
// the other masters. It returns an error only for what waiting does not mend, or when ctx ends.
func (e *Engine) start(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := e.store.Agree(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return errStopped
		}
		if definite(err) {
			return err
		}
		if errors.Is(err, api.ErrNoAgreement) {
			e.log.Error("starting: the record of the service is gone; waiting for those who know it", "err", err)
		} else {
			e.log.Warn("starting: Redis does not answer", 1, "err", err)
		}
		backoff.Sleep(ctx, e.backoff(attempt))
	}
	if err := e.legacy.check(ctx); err != nil {
		if isCancel(err) {
			return errStopped
		}
		return err
	}
	e.agreement.begin()
	for _, p := range e.partitions {
		e.renewer.beatNow(p.number)
	}
	for _, p := range e.partitions {
		if err := e.awaitOpen(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

var errStopped = errors.New("stopped while starting")

// closeOpened closes the sessions that were opened by a start which ended before all were: nobody shall find them dead.
func (e *Engine) closeOpened() {
	e.life.beginDrain()
	ctx, cancel := context.WithTimeout(e.life.hurry, e.cfg.timeout)
	defer cancel()
	e.handBackAll(ctx)
}

// definite reports whether an error of the start is one that waiting does not mend.
func definite(err error) bool {
	return lease.Disagrees(err) || lease.Permanent(err)
}

// awaitOpen waits for the first session of a partition, or until it is clear that others come first.
func (e *Engine) awaitOpen(ctx context.Context, p *partition) error {
	for ctx.Err() == nil {
		p.mu.Lock()
		s, failing, opened := p.mu.session, p.mu.failing, p.mu.opened
		p.mu.Unlock()
		if s != nil {
			return nil
		}
		if err := e.agreement.disagrees(); err != nil {
			return err
		}
		if failing != nil && lease.Permanent(failing) {
			return fmt.Errorf("opening partition %d: %w", p.number, lease.Explain(failing))
		}
		if failing != nil && e.anySession() {
			return nil
		}
		timer := time.NewTimer(awaitAgain)
		select {
		case <-opened:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return errStopped
}

// anySession reports whether there is a session in some partition.
func (e *Engine) anySession() bool {
	return slices.ContainsFunc(e.partitions, func(p *partition) bool {
		s, _ := p.view()
		return s != nil
	})
}

// delivered takes the consequences of a delivery.
func (e *Engine) delivered(to delivery, n api.Notification, err error, took time.Duration) {
	err = guard.Error(err)
	e.metrics.Handled(n, err, took)
	e.room.Broadcast()
	l, _ := n.Lease.(*lease.Lease)
	var panicked *api.PanicError
	if errors.As(err, &panicked) {
		e.log.Error("handler panicked", "kind", n.Kind, "panic", panicked.Value, "stack", string(panicked.Stack))
	}
	switch n.Kind {
	case api.Added:
		if err != nil && l.FailFor(err) {
			if _, snoozed := api.SnoozeDelay(err); !snoozed {
				e.log.Warn("handling failed", 1, "attempt", l.Attempt(), "err", err)
			}
		}
		return
	case api.Expired:
		e.hints.handled()
	case api.Releasing:
		if to.handsBack() {
			l.HandBack()
		}
	}
	if err != nil && panicked == nil {
		e.log.Warn("handler returned an error that has no effect", 1, "kind", n.Kind, "err", err)
	}
}

// slowHandler is how long a handler may run before the log says that it blocks a worker.
const slowHandler = time.Second

// watch looks once a second for handlers that block workers, and ends with ctx.
func (e *Engine) watch(ctx context.Context, to delivery) {
	for backoff.Sleep(ctx, slowHandler) {
		if n, example := e.dispatcher.Blocked(time.Now(), slowHandler); n > 0 && to.blocks() {
			e.log.Warn("handlers block workers", n, "for", slowHandler, "example", example,
				"remedy", "return from Handle at once and work elsewhere, or use RunEach, or WithWorkers")
		}
		if e.hints != nil && to.blocks() {
			if n, example := e.hints.lane.Blocked(time.Now(), slowHandler); n > 0 {
				e.log.Warn("handlers of Expired block, so hints are dropped", n, "for", slowHandler, "example", example,
					"remedy", "return from Handle at once and work elsewhere")
			}
		}
		e.log.Flush()
	}
}

// freed is called when a stream is off the table: what waited for that goes on.
func (e *Engine) freed(stream string) {
	e.parked.nudge(stream)
	e.room.Broadcast()
}

func (e *Engine) draining() bool { return e.life.drain.Err() != nil }
