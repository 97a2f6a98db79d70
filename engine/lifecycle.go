package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
)

// run is the whole life of an engine. It is the one place that knows the order of a start, as drain is for a shutdown. From the
// beginning of a shutdown on, which an error of the start is, too, it returns within the drain timeout.
func (e *Engine) run(ctx context.Context, way func(handling context.Context) delivery) (err error) {
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	e.base = base
	defer context.AfterFunc(ctx, e.life.beginDrain)()
	var group sync.WaitGroup
	defer func() {
		end(api.ErrClosed)
		e.close(&group)
		e.life.close(err)
	}()

	began := e.clock.Now()
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life.drain, cancel)()

	// 1. Clients that could not connect before do so: the parts need to know the kind of server. Then the parts are made.
	handling, stopHandling := context.WithCancelCause(base)
	e.stopHandling = stopHandling
	to := way(handling)
	e.way = to
	err = e.inTime(func() error { return e.connect(starting) })
	if err == nil {
		err = e.assemble(base, to)
	}
	if err != nil {
		if errors.Is(err, errStopped) {
			err = nil
		}
		e.life.beginDrain()
		e.finish(to, err)
		return err
	}

	// 2. Their loops start, the renewer's first: it opens the sessions. The topology is looked at once before its loop, since a
	// master that hangs must not hold up the first calls to the others.
	group.Go(func() { e.renewer.loop(base) })
	group.Go(func() { e.watchHandlers(base, to) })
	if err = e.inTime(func() error { e.topology.look(starting); return nil }); err == nil {
		group.Go(func() { e.topology.loop(base) })
		group.Go(func() { e.maintenance.run(base) })
		group.Go(func() { e.agreement.loop(base) })

		// 3. The service is checked and sessions are opened.
		err = e.inTime(func() error { return e.start(starting) })
	}
	cancel()
	if err != nil {
		if errors.Is(err, errStopped) {
			err = nil
		}
		if named := e.inTime(func() error { return e.nameMissingRights(base, err) }); !errors.Is(named, errStopped) {
			err = named
		}
		if err != nil {
			e.log.Error("the start failed", "err", err)
		}
		e.closeOpened()
		e.dismantle(to, err, new(sync.WaitGroup))
		return err
	}
	e.life.setRunning(true)
	e.log.Info("engine started", "consumer", e.ID(), "partitions", len(e.partitions), "sessions", e.Stats().Live,
		"took", time.Duration(e.clock.Now()-began).Round(time.Millisecond))
	group.Go(func() { warnOfEviction(base, &e.env, e.client) })
	group.Go(func() { e.shedder.loop(base) })
	group.Go(func() { e.wishes.loop(base) })

	// 4. Streams are taken until it is time to drain.
	return e.serve(ctx, base, to, &group)
}

// inTime returns what a step of the start returns, or errStopped when a shutdown has begun and the step hangs: see unlessShutDown.
func (e *Engine) inTime(step func() error) error {
	result := make(chan error, 1)
	if e.life.unlessShutDown(func() { result <- step() }) {
		return <-result
	}
	return errStopped
}

// serve begins recovery and reading, and drains when ctx ends or a shutdown is asked for.
func (e *Engine) serve(ctx, base context.Context, to delivery, group *sync.WaitGroup) error {
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
	return e.reportEnd(func() error { return e.drain(to, &readers) })
}

// reportEnd writes the one line about the end of a run.
func (e *Engine) reportEnd(drain func() error) error {
	began, held, before := e.clock.Now(), e.table.Len(), e.completer.HandedBack()
	err := drain()
	e.recoverer.takeovers.flush(0)
	args := []any{"held", held, "handed_back", e.completer.HandedBack() - before,
		"took", time.Duration(e.clock.Now() - began).Round(time.Millisecond)}
	if err != nil {
		e.log.Warn("engine ended, and not all went well", 1, append(args, "err", err)...)
		return err
	}
	e.log.Info("engine ended", args...)
	return nil
}

// close ends what is left of an engine once its parts have stopped: the loops, the metrics, the clients and the user's hooks. What
// hangs is left to itself when its share of the time has passed. The hooks are waited for for lastPatience at most.
func (e *Engine) close(group *sync.WaitGroup) {
	loops, cancel := e.life.share(.5)
	defer cancel()
	if !within(loops, group.Wait) {
		e.gaveUp("goroutines")
	}
	e.metrics.Close()
	closed := async(e.closeClients)
	e.awaitLast(e.hooks.Close)
	clients, cancelClients := e.life.share(.75)
	defer cancelClients()
	if !await(clients, closed) {
		e.gaveUp("connections")
	}
	ctx, cancelLog := context.WithTimeout(e.life.over, lastPatience)
	defer cancelLog()
	e.log.Close(ctx)
}

// start checks that the service is the configured one, and waits until every partition has a session, or some have one and the
// others fail: a master that is down, or a slot that migrates for an hour, must not keep a new process from the other masters. It
// returns an error only if waiting does not help, or if ctx ends.
func (e *Engine) start(ctx context.Context) error {
	if err := e.predecessors.take(ctx); err != nil {
		if isCancel(err) {
			return errStopped
		}
		return err
	}
	if err := e.agree(ctx); err != nil {
		return err
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

// agree retries until Redis has answered whether the service is the configured one.
func (e *Engine) agree(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := e.store.Agree(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errStopped
		case definite(err):
			return err
		case errors.Is(err, api.ErrNoAgreement):
			e.log.Error("starting: the record of the service is gone; waiting for those who know it", "err", err)
		default:
			if _, refused := lease.Refusal(err); refused {
				e.log.Warn("starting: Redis refuses", 1, "err", err)
			} else {
				e.log.Warn("starting: Redis does not answer", 1, "err", err)
			}
		}
		backoff.Sleep(ctx, e.backoff(attempt))
	}
}

// nameMissingRights adds all missing rights to an error of the start that says that one is.
func (e *Engine) nameMissingRights(ctx context.Context, err error) error {
	if e.client == nil {
		return err
	}
	return withMissingRights(ctx, err, func(ctx context.Context) []preflight.Lack {
		return preflight.Missing(ctx, e.client, e.cfg.terms(e.layout))
	})
}

// closeOpened closes the sessions that a start opened before it failed or was stopped, so that nobody finds them dead.
func (e *Engine) closeOpened() {
	e.life.beginDrain()
	share, cancelShare := e.life.share(.5)
	defer cancelShare()
	ctx, cancel := context.WithTimeout(share, e.cfg.timeout)
	defer cancel()
	e.requeueAll(ctx)
}

// definite reports whether an error of the start is one that waiting does not help with.
func definite(err error) bool {
	return lease.Disagrees(err) || !lease.Retryable(err)
}

// awaitOpen waits for the first session of a partition, or until that fails while some other partition has a session.
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
		if failing != nil && !lease.Retryable(failing) {
			return fmt.Errorf("opening partition %d: %w", p.number, lease.Explain(failing))
		}
		if failing != nil && e.anySession() {
			return nil
		}
		timer := time.NewTimer(pollInterval)
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

// slowHandler is how long a handler may run before a log line reports that it blocks a worker.
const slowHandler = time.Second

// watchHandlers looks once a second for handlers that block workers, until ctx ends. It also has the log write its sums.
func (e *Engine) watchHandlers(ctx context.Context, to delivery) {
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
		e.recoverer.takeovers.flush(takeoverQuiet)
		e.log.Flush()
	}
}
