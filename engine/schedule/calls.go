package schedule

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/pool"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

const (
	// choreWorkers is how many calls to Redis are made at a time, and hookWorkers how many tasks are opened or stopped.
	choreWorkers = 64
	hookWorkers  = 64

	// stepTimeout is how long one call to Redis may take.
	stepTimeout = 10 * time.Second
)

// calls calls the user's code and Redis, on goroutines of their own, and says to whom it may concern how that went.
type calls struct {
	user    func(Owned) (Task, error)
	ends    ender
	handler TaskFunc   // of every tick
	over    func(*job) // a tick is over
	times   *times
	log     *sumlog.Logger
	metrics *metrics.Metrics
	figures *figures

	workers *pool.Pool[*job]   // ticks
	edits   *pool.Pool[func()] // Changed: as many at a time as ticks, so that one which hangs holds up neither these nor a hand-over
	hooks   *pool.Pool[func()] // open and Stop
	chores  *pool.Pool[func()] // calls to Redis
}

// ender ends the work for leases. engine.Engine is the real one; see there.
type ender interface{ Ended(l api.Lease, err error) }

func (c *calls) start(workers int) {
	call := func(f func()) { f() }
	c.workers, c.edits = pool.New(workers, c.handle), pool.New(workers, call)
	c.hooks, c.chores = pool.New(hookWorkers, call), pool.New(choreWorkers, call)
}

// stop drops what has not begun.
func (c *calls) stop() {
	c.workers.Stop()
	c.edits.Stop()
	c.hooks.Stop()
	c.chores.Stop()
}

// call calls the user's code, and then done with its error. What panics has an error, and is counted and logged under that name.
func (c *calls) call(name string, f func() error, done func(error)) {
	guard.Finally(func() error { return guard.Error(f()) }, func(err error) {
		var p *api.PanicError
		if errors.As(err, &p) {
			c.metrics.Inc(metrics.TickPanics)
			c.log.Error("code that was given to the schedules panicked", "where", name, "panic", p.Value, "stack", string(p.Stack))
		}
		done(err)
	})
}

// open opens the task of a schedule.
func (c *calls) open(o Owned, done func(Task, error)) {
	c.hooks.Add(func() {
		var task Task
		c.call("open", func() (err error) {
			task, err = c.user(o)
			if err == nil && task == nil {
				err = errors.New("open returned no task and no error")
			}
			return err
		}, func(err error) {
			if err != nil {
				c.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorOpen))
				c.log.Warn("the task of a schedule could not be opened", 1, "example", o.Spec.Name, "err", err)
			}
			done(task, err)
		})
	})
}

// changed tells a task that its schedule was edited.
func (c *calls) changed(task Changer, spec *Spec, done func()) {
	c.edits.Add(func() {
		c.call("Changed", func() error { task.Changed(spec); return nil }, func(error) { done() })
	})
}

// stopTask stops a task.
func (c *calls) stopTask(task Stopper, cause error, done func()) {
	c.hooks.Add(func() {
		c.call("Stop", func() error { task.Stop(cause); return nil }, func(error) { done() })
	})
}

// job is a tick on its way from the loop to a worker and back. It is one piece of memory, since there may be 10,000 a second.
type job struct {
	entry *entry // the worker uses its lease, partition and dropped
	tick  Tick

	fired bool // it counts as done
	saves bool // tick has a state to be stored
}

func newJob(e *entry, b *ticking.Begin) *job {
	j := &job{entry: e, tick: newTick(e.lease, e.spec, b)}
	j.tick.task = e.task
	return j
}

// tick has ticks handled.
func (c *calls) tick(all []*job) { c.workers.Add(all...) }

// handle handles a tick, on a worker.
func (c *calls) handle(j *job) {
	if j.entry.dropped.Load() || j.tick.lease.Remaining() == 0 {
		c.metrics.Inc(metrics.Ticks.With(metrics.TickLost))
		c.over(j)
		return
	}
	t := &j.tick
	if now, known := c.times.now(int(j.entry.partition)); known {
		t.Late = time.Duration(max(0, now-t.At.UnixMilli())) * time.Millisecond
	}
	if !t.Manual {
		c.metrics.Observe(metrics.TickLateness, t.Late.Seconds())
	}
	c.figures.running.Add(1)
	began, ctx := time.Now(), t.lease.Context()
	c.call("Tick", func() error { return c.handler(ctx, t) }, func(err error) {
		c.figures.running.Add(-1)
		c.metrics.Observe(metrics.TickDuration, time.Since(began).Seconds())
		c.metrics.Inc(metrics.Ticks.With(c.outcome(j, err)))
		c.over(j)
	})
}

// outcome decides what a tick counts as that returned err.
func (c *calls) outcome(j *job, err error) metrics.TickResult {
	l := j.tick.lease
	switch {
	case l.Remaining() == 0, err != nil && l.Context().Err() != nil: // who gives up since the lease has ended has not done the tick
		return metrics.TickLost
	case err != nil:
		j.fired = true
		c.log.Warn("a tick failed", 1, "example", j.tick.ID(), "err", err)
		return metrics.TickFailed
	}
	j.fired, j.saves = true, j.tick.saved
	return metrics.TickOK
}

// save stores a checkpoint that was set, and waits until it is stored. cancel ends that.
func (c *calls) save(l api.Lease, text string, done func()) (cancel func()) {
	ctx, cancel := context.WithTimeout(l.Context(), stepTimeout)
	c.chores.Add(func() {
		defer cancel()
		err := l.SaveCheckpoint(ctx, text)
		if err != nil && !errors.Is(err, context.Canceled) && l.Remaining() > 0 {
			c.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorSave))
			c.log.Warn("the checkpoint of a tick was not stored at once; a crash would repeat the tick", 1, "example", l.Stream(), "err", err)
		}
		done()
	})
	return cancel
}

// end ends an ownership whose task is stopped.
func (c *calls) end(l api.Lease, how leaving) {
	switch how.how {
	case failed:
		c.ends.Ended(l, how.cause)
	case replaced, deleted:
		if how.how == deleted {
			l.DropCheckpoint()
		}
		c.chores.Add(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), stepTimeout)
			defer cancel()
			_ = l.Done(ctx) // whatever comes of it, nothing is owned any more: what has failed is tried on by the engine
			c.ends.Ended(l, nil)
		})
	default:
		c.ends.Ended(l, nil)
	}
}
