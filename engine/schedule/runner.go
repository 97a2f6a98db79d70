package schedule

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// Runner fires the ticks of the schedules that an engine owns. It is made by New and run once. All methods may be called at any time from any
// goroutine.
type Runner struct {
	core   *core
	engine *engine.Engine
	layout *cluster.Layout
	ran    atomic.Bool
}

// New returns a runner of the schedules that e will own. It is the layer of that engine: Run of the runner runs the engine. The service has
// no other streams than schedules: one without a row in the table is done at once.
//
// open is called once an ownership, before the first tick, with the state that the last owner saved, and returns what handles the ticks. Many
// calls may run at a time, each for another schedule. An error fails the ownership, as api.Lease.Fail does: it is logged and counted, and the
// schedule is handed out again after a growing delay; after scan.Config.MaxRetries, or at once if the error is api.Permanent, its announcement is
// dead-lettered, and it does not tick until it is put again or the dead letter is sent back. A panic is an error.
//
// Errors match api.ErrInvalidConfig.
func New(e *engine.Engine, open func(o Owned) (Task, error), c Config) (*Runner, error) {
	switch {
	case e == nil:
		return nil, invalid("the engine is nil; make one with engine.Open")
	case open == nil:
		return nil, invalid("open is nil; it returns the Task of a schedule")
	}
	layout, err := cluster.NewLayout(e.Service(), e.Partitions())
	if err != nil { // a bug: the engine has one
		return nil, err
	}
	k, err := newCore(coreParts{
		open: open, cfg: c, table: newTableStore(runnerOf(e), layout), ends: e, serverTime: e.ServerTime,
		partitionOf: layout.Of, partitions: layout.Partitions(), log: e.Logger(), registerer: e.Registerer(), service: e.Service(),
	})
	if err != nil {
		return nil, err
	}
	return &Runner{core: k, engine: e, layout: layout}, nil
}

// Run owns schedules and fires their ticks until ctx ends or the engine is shut down, and then drains: ticks that are at work end, and each
// schedule is handed back with its checkpoint, in one step. It returns what engine.Engine.Run returns.
func (r *Runner) Run(ctx context.Context) error {
	if !r.ran.CompareAndSwap(false, true) {
		return api.ErrStarted
	}
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { r.core.run(background) })
	running.Go(func() { r.audit(background) })
	err := r.engine.RunLayer(ctx, r.core)
	end()
	running.Wait()
	r.core.stop() // a task that hangs goes on by itself
	return err
}

// audit looks for schedules that nobody owns, until ctx ends.
func (r *Runner) audit(ctx context.Context) {
	count := func(a metrics.ScheduleAudit) { r.core.metrics.Inc(metrics.ScheduleAudits.With(a)) }
	auditorOf(r.engine, r.layout, r.core.log, count).run(ctx)
}

// Stats returns figures of the runner. It makes no round trip.
func (r *Runner) Stats() Stats { return r.core.figures.stats() }
