package schedule

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/engine/schedule/internal/ticking"
	"github.com/streamlease/streamlease/wheel"
)

// wheelTick is the resolution of ticks.
const wheelTick = 10 * time.Millisecond

// coreParts are what a core is made of.
type coreParts struct {
	open        func(Owned) (Task, error)
	cfg         Config
	table       rowStore
	ends        ender
	serverTime  func(partition int) (now time.Time, known bool)
	partitionOf func(stream string) int
	partitions  int
	log         *slog.Logger
	registerer  prometheus.Registerer // nil: metrics are shown nowhere
	service     string
}

// core is a runner without its engine: a loop that has all of its state. Everybody else, the engine and the workers, puts into the inbox
// what has happened, so there are no locks. The loop makes no call that waits: it asks entries what is to be done, and has it done by calls
// and loader.
type core struct {
	partitionOf func(stream string) int
	log         *sumlog.Logger
	metrics     *metrics.Metrics
	figures     *figures
	times       *times
	inbox       *inbox
	calls       *calls
	loader      *loader

	// Of the loop.
	entries *registry
	wheel   *wheel.Wheel
	due     wheel.Due
	lookAt  int64  // when the clocks are looked at, ns on the loop's clock
	begun   []*job // ticks that begin in this turn
}

func newCore(p coreParts) (*core, error) {
	cfg, err := p.cfg.checked()
	if err != nil {
		return nil, err
	}
	handler, err := cfg.handler()
	if err != nil {
		return nil, err
	}
	w, err := wheel.New(wheel.Config{Tick: wheelTick}, 0)
	if err != nil { // a bug: the configuration is a constant
		return nil, err
	}
	k := &core{
		partitionOf: p.partitionOf, log: sumlog.New(p.log), figures: &figures{}, times: newTimes(p.serverTime, p.partitions),
		entries: newRegistry(), wheel: w,
	}
	k.inbox = newInbox(k.times.mono)
	k.figures.waiting = func() int { return k.calls.workers.Waiting() }
	if k.metrics, err = metrics.NewSchedule(p.registerer, p.service, k.figures.gauges); err != nil {
		return nil, err
	}
	k.calls = &calls{
		user: p.open, ends: p.ends, handler: handler, over: k.inbox.over, times: k.times, log: k.log, metrics: k.metrics, figures: k.figures,
	}
	k.calls.start(cfg.Workers)
	k.loader = &loader{
		table: p.table, run: func(call func()) { k.calls.chores.Add(call) }, post: k.inbox.put, took: k.took, log: k.log, metrics: k.metrics,
		parts: make([]loads, p.partitions),
	}
	return k, nil
}

// stop drops what has not begun.
func (k *core) stop() {
	k.calls.stop()
	k.metrics.Close()
}

// run is the loop. It ends with ctx.
func (k *core) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var todo []message
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.inbox.ready:
		case <-timer.C:
		}
		todo = k.inbox.take(todo)
		for _, m := range todo {
			if m.over != nil {
				k.ticked(m.over)
			} else {
				m.call()
			}
		}
		k.lookAtClocks()
		k.advance()
		k.loader.sweepOn(k.times.mono(), k.entries.all)
		k.begin()
		now := k.times.mono()
		next := k.loader.send(now, k.nextLook())
		k.inbox.sleeps(next)
		timer.Reset(time.Duration(next - now))
	}
}

// begin has the ticks handled that begin in this turn: together, since each that comes alone wakes a worker.
func (k *core) begin() {
	k.calls.tick(k.begun)
	clear(k.begun)
	k.begun = k.begun[:0]
	if cap(k.begun) > keepRoom {
		k.begun = nil
	}
}

// advance has the schedules look whose time has come.
func (k *core) advance() {
	k.wheel.Advance(k.times.mono(), &k.due)
	for _, handles := range k.due.Groups() {
		for _, h := range handles {
			if e := k.entries.all[h]; e != nil {
				k.look(e, (*ticking.Schedule).Wake)
			}
		}
	}
}

// lookAtClocks files timers again where the clock of a server has stepped, or has become known.
func (k *core) lookAtClocks() {
	now := k.times.mono()
	if now < k.lookAt {
		return
	}
	changed, stepped, next := k.times.lookAll()
	k.lookAt = now + int64(next)
	for _, p := range stepped {
		k.metrics.Inc(metrics.ClockSteps)
		k.log.Warn("the clock of a server has stepped; ticks are timed by it", 1, "partition", p)
	}
	if changed == nil {
		return
	}
	for _, e := range k.entries.all {
		if e != nil && changed[e.partition] {
			k.look(e, (*ticking.Schedule).Stepped)
		}
	}
}

// nextLook is when the loop has something to do without being told to.
func (k *core) nextLook() int64 {
	at := k.lookAt
	if next, ok := k.wheel.Next(); ok {
		at = min(at, next)
	}
	return at
}

// added takes in a schedule that is owned from now on.
func (k *core) added(l api.Lease) {
	e := &entry{lease: l, partition: uint16(k.partitionOf(l.Stream()))}
	if err := e.readCheckpoint(); err != nil {
		k.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorCheckpoint))
		k.log.Error("a schedule has a checkpoint that is none of a schedule", "example", l.Stream(), "err", err)
		k.calls.end(l, leaving{failed, err})
		return
	}
	k.entries.add(e)
	k.figures.move(e.count())
	k.loader.add(e)
}

// took takes in a row.
func (k *core) took(e *entry, row string) {
	t := e.take(row)
	for _, c := range t.changes {
		k.metrics.Inc(metrics.ScheduleChanges.With(c))
	}
	if t.err != nil {
		k.metrics.Inc(metrics.ScheduleErrors.With(metrics.ErrorSpec))
		k.log.Error("a schedule does not tick, since its row cannot be understood; put it again", "example", e.lease.Stream(), "err", t.err)
		k.wheel.Cancel(e.handle)
	}
	k.figures.move(e.count())
	k.do(e, t.next)
}

// leave has an ownership end as soon as its task is idle; a nil entry has none.
func (k *core) leave(e *entry, how leaving) {
	if e != nil {
		k.do(e, e.leave(how))
	}
}

// do has done what is to be done for an entry.
func (k *core) do(e *entry, a act) {
	switch a {
	case rest:
	case look:
		k.look(e, (*ticking.Schedule).Wake)
	case openTask:
		e.phase = opening
		o := Owned{Spec: e.spec, State: e.done.State, Token: e.lease.Token(), Context: e.lease.Context(), lease: e.lease}
		k.calls.open(o, func(task Task, err error) { k.after(e, func() act { return e.opened(task, err) }) })
	case fireBegin:
		b := e.begin
		e.begin = nil
		k.fire(e, b)
	case tell:
		e.phase = busy
		k.calls.changed(e.task.(Changer), e.spec, func() { k.after(e, e.rests) })
	case stopTask:
		e.phase = stopping
		k.calls.stopTask(e.task.(Stopper), e.leaving.cause, func() { k.after(e, func() act { return end }) })
	case end:
		e.phase = over
		k.wheel.Cancel(e.handle)
		k.entries.remove(e)
		k.figures.move(e.count())
		k.calls.end(e.lease, e.leaving)
	}
}

// after has the loop take in how something went, and do what comes next.
func (k *core) after(e *entry, f func() act) { k.inbox.put(func() { k.do(e, f()) }) }

// look looks at what is due for an entry, and begins it.
func (k *core) look(e *entry, how func(*ticking.Schedule, int64) ticking.Step) {
	now, known := k.times.now(int(e.partition))
	if !known || !e.ticks() {
		return
	}
	st := how(&e.ticking, now)
	k.skipped(e, &st.Counts)
	if st.WakeAt == 0 {
		k.wheel.Cancel(e.handle)
	} else {
		k.wheel.Schedule(e.handle, e.partition, min(k.times.at(int(e.partition), st.WakeAt), math.MaxInt64/2))
	}
	switch {
	case st.Begin == nil:
	case e.phase == busy || e.leaving.how != stays:
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
	e.phase, e.beganAt = busy, k.times.mono()
	k.begun = append(k.begun, newJob(e, b))
}

// ticked takes in that a tick is over.
func (k *core) ticked(j *job) {
	e := j.entry
	e.ended(j)
	if j.fired && k.stores(e) {
		return
	}
	if a := e.next(); a != look || e.ticking.Waiting() { // else the timer is set, and nothing is due before
		k.do(e, a)
	}
}

// stores sets the checkpoint of an entry, which is stored within a second along with others. It reports whether it is being stored now.
func (k *core) stores(e *entry) bool {
	text := e.done.Encode()
	e.lease.SetCheckpoint(text)
	if !savesAtOnce(e.spec.Every.Milliseconds()) || e.leaving.how != stays {
		return false
	}
	e.phase = busy
	e.cancel = k.calls.save(e.lease, text, func() { k.after(e, e.rests) })
	return true
}
