package schedule

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
)

// saveAtOnce is the interval from which on the checkpoint of each tick is stored at once, in milliseconds: or a crash within the second until
// it is stored anyway would repeat a report that comes once a night. Cron expressions count as such.
const saveAtOnce = 60_000

// savesAtOnce reports whether that holds for an interval in milliseconds, 0 for a cron expression.
func savesAtOnce(every int64) bool { return every == 0 || every >= saveAtOnce }

// open has the task of an entry opened.
func (k *core) open(e *entry) {
	e.phase = opening
	o := Owned{Spec: e.spec, State: e.done.State, Token: e.lease.Token(), Context: e.lease.Context(), lease: e.lease}
	k.hooks.Add(func() {
		var task Task
		guard.Finally(func() (err error) {
			task, err = k.coreParts.open(o)
			if err == nil && task == nil {
				err = errors.New("open returned no task and no error")
			}
			return guard.Error(err)
		}, func(err error) {
			k.panicked("open", err)
			k.inbox.put(func() { k.opened(e, task, err) })
		})
	})
}

// opened takes in the task.
func (k *core) opened(e *entry, task Task, err error) {
	e.phase = resting
	if err != nil {
		if e.leaving.how == stays { // else it may have failed for that
			k.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorOpen))
			k.log.Warn("the task of a schedule could not be opened", 1, "example", e.lease.Stream(), "err", err)
			e.leaving = leaving{failed, err}
		}
		k.end(e)
		return
	}
	e.task = task
	k.proceed(e)
}

// proceed does what comes next for an entry whose task is idle.
func (k *core) proceed(e *entry) {
	if e.phase != resting {
		return
	}
	switch {
	case e.leaving.how != stays:
		k.close(e)
	case e.changed:
		e.changed = false
		k.tellChanged(e)
	case e.begin != nil:
		b := e.begin
		e.begin = nil
		k.fire(e, b)
	default:
		k.wake(e)
	}
}

// wake looks at what is due for an entry.
func (k *core) wake(e *entry) { k.follow(e, (*ticking.Schedule).Wake) }

// refile looks at it after the clock has stepped.
func (k *core) refile(e *entry) { k.follow(e, (*ticking.Schedule).Stepped) }

func (k *core) follow(e *entry, look func(*ticking.Schedule, int64) ticking.Step) {
	now, known := k.times.now(int(e.partition))
	if !known || e.broken || e.task == nil || e.phase != resting && e.phase != busy {
		return
	}
	st := look(e.ticking, now)
	k.skipped(e, &st.Counts)
	k.arm(e, st.WakeAt)
	switch {
	case st.Begin == nil:
	case e.phase == busy:
		e.begin = st.Begin
	default:
		k.fire(e, st.Begin)
	}
}

// skipped counts ticks that are not fired.
func (k *core) skipped(e *entry, n *ticking.Counts) {
	if *n == (ticking.Counts{}) {
		return
	}
	k.metrics.Add(metrics.Ticks.With(metrics.TickOverlapped), n.Overlapped)
	k.metrics.Add(metrics.Ticks.With(metrics.TickMissed), n.Missed)
	k.metrics.Add(metrics.Ticks.With(metrics.TickTooLate), n.TooLate)
	if n.Overlapped > 0 && e.beganAt != 0 {
		k.log.Warn("ticks are skipped, since an earlier one is still being handled", n.Overlapped,
			"example", e.lease.Stream(), "for", time.Duration(k.times.mono()-e.beganAt).Round(time.Millisecond).String())
	}
}

// fire has a tick handled.
func (k *core) fire(e *entry, b *ticking.Begin) {
	if e.lease.Remaining() == 0 { // it is about to be disowned
		e.ticking.End(false)
		return
	}
	e.phase, e.beganAt = busy, k.times.mono()
	spec, task := e.spec, e.task
	k.workers.Add(func() { k.tick(e, task, spec, b) })
}

// tick handles a tick, on a worker.
func (k *core) tick(e *entry, task Task, spec *Spec, b *ticking.Begin) {
	if e.dropped.Load() || e.lease.Remaining() == 0 {
		k.inbox.put(func() { k.ticked(e, nil, nil, false) })
		return
	}
	began := time.Now()
	t := newTick(e.lease, spec, b)
	if now, known := k.times.now(int(e.partition)); known {
		t.Late = time.Duration(max(0, now-b.At)) * time.Millisecond
	}
	if !b.Manual {
		k.metrics.Observe(metrics.TickLateness, t.Late.Seconds())
	}
	k.figures.running.Add(1)
	ctx := e.lease.Context()
	guard.Finally(func() error { return guard.Error(task.Tick(ctx, t)) }, func(err error) {
		k.figures.running.Add(-1)
		k.metrics.Observe(metrics.TickDuration, time.Since(began).Seconds())
		k.panicked("Tick", err)
		// A task that gives up since its lease has ended has not done its tick.
		fired := e.lease.Remaining() > 0 && (err == nil || ctx.Err() == nil)
		k.inbox.put(func() { k.ticked(e, t, err, fired) })
	})
}

// newTick returns the tick that begins.
func newTick(l api.Lease, spec *Spec, b *ticking.Begin) *Tick {
	return &Tick{
		Schedule: spec.Name, At: time.UnixMilli(b.At).UTC(), Number: b.Number, Missed: b.Missed, Manual: b.Manual,
		Spec: spec, Token: l.Token(), lease: l,
	}
}

// ticked takes in that a tick is over. t is nil if it was not begun.
func (k *core) ticked(e *entry, t *Tick, err error, fired bool) {
	e.phase = resting
	done := e.ticking.End(fired)
	switch {
	case !fired:
		k.metrics.Inc(metrics.Ticks.With(metrics.TickLost))
		k.proceed(e)
		return
	case err != nil:
		k.metrics.Inc(metrics.Ticks.With(metrics.TickFailed))
		k.log.Warn("a tick failed", 1, "example", t.ID(), "err", err)
	default:
		k.metrics.Inc(metrics.Ticks.With(metrics.TickOK))
		if t.saved {
			e.done.State = t.state
		}
	}
	e.done.Last, e.done.Number, e.done.Missed, e.done.Trigger = done.Last, done.Number, done.Missed, done.Triggered
	k.store(e)
}

// store has the checkpoint of an entry stored: within a second, along with others, or now.
func (k *core) store(e *entry) {
	text := e.done.Encode()
	e.lease.SetCheckpoint(text)
	if !savesAtOnce(e.spec.Every.Milliseconds()) || e.leaving.how != stays {
		k.proceed(e)
		return
	}
	ctx, cancel := context.WithTimeout(e.lease.Context(), stepTimeout)
	e.phase, e.beganAt, e.cancel = busy, 0, cancel
	k.chores.Add(func() {
		err := e.lease.SaveCheckpoint(ctx, text)
		cancel()
		k.inbox.put(func() { k.stored(e, err) })
	})
}

// stored takes in that a checkpoint is stored, or will be later.
func (k *core) stored(e *entry, err error) {
	e.phase, e.cancel = resting, nil
	if err != nil && e.leaving.how == stays && e.lease.Remaining() > 0 {
		k.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorSave))
		k.log.Warn("the checkpoint of a tick was not stored at once; a crash would repeat the tick", 1, "example", e.lease.Stream(), "err", err)
	}
	k.proceed(e)
}

// tellChanged calls Changed of a task that has it.
func (k *core) tellChanged(e *entry) {
	task, ok := e.task.(Changer)
	if !ok {
		k.proceed(e)
		return
	}
	spec := e.spec
	e.phase, e.beganAt = busy, 0
	k.workers.Add(func() {
		guard.Finally(func() error { task.Changed(spec); return nil }, func(err error) {
			k.panicked("Changed", err)
			k.inbox.put(func() {
				e.phase = resting
				k.proceed(e)
			})
		})
	})
}

// panicked counts and logs what has panicked.
func (k *core) panicked(where string, err error) {
	var p *api.PanicError
	if errors.As(err, &p) {
		k.metrics.Inc(metrics.TickPanics)
		k.log.Error("code that was given to the schedules panicked", "where", where, "panic", p.Value, "stack", string(p.Stack))
	}
}
