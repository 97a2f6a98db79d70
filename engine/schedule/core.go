package schedule

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/pool"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/wheel"
)

const (
	// wheelTick is the resolution of ticks.
	wheelTick = 10 * time.Millisecond

	// choreWorkers is how many calls to Redis are made at a time, and hookWorkers how many tasks are opened or stopped.
	choreWorkers = 64
	hookWorkers  = 64

	// stepTimeout is how long one call to Redis may take.
	stepTimeout = 10 * time.Second
)

// rowStore reads rows of the table.
type rowStore interface {
	Rows(ctx context.Context, partition int, names []string) ([]string, error)
}

// ender ends the work for leases. engine.Engine is the real one; see there.
type ender interface{ Ended(l api.Lease, err error) }

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

// core is a runner without its engine: the layer, and a loop that has all of its state. Everybody else, the engine and the workers, puts
// into the inbox what has happened, so there are no locks. The loop makes no call that waits.
type core struct {
	coreParts
	log     *sumlog.Logger
	metrics *metrics.Metrics
	figures *figures
	times   *times
	inbox   *inbox

	workers *pool.Pool[func()] // ticks
	hooks   *pool.Pool[func()] // open and Stop
	chores  *pool.Pool[func()] // calls to Redis

	// Of the loop.
	entries []*entry // by handle; nil: the handle is free
	free    []wheel.Handle
	byName  map[string]*entry
	wheel   *wheel.Wheel
	due     wheel.Due
	loads   []loads // by partition
	sweep   sweep
	lookAt  int64 // when the clocks are looked at, ns on the loop's clock
}

func newCore(p coreParts) (*core, error) {
	cfg, err := p.cfg.checked()
	if err != nil {
		return nil, err
	}
	p.cfg = cfg
	w, err := wheel.New(wheel.Config{Tick: wheelTick}, 0)
	if err != nil { // a bug: the configuration is a constant
		return nil, err
	}
	k := &core{
		coreParts: p, log: sumlog.New(p.log), times: newTimes(p.serverTime, p.partitions), inbox: newInbox(),
		byName: make(map[string]*entry), wheel: w, loads: make([]loads, p.partitions),
	}
	call := func(f func()) { f() }
	k.workers, k.hooks, k.chores = pool.New(cfg.Workers, call), pool.New(hookWorkers, call), pool.New(choreWorkers, call)
	k.figures = &figures{workers: k.workers}
	k.metrics, err = metrics.NewSchedule(p.registerer, p.service, k.figures.gauges)
	return k, err
}

// stop drops what has not begun.
func (k *core) stop() {
	k.workers.Stop()
	k.hooks.Stop()
	k.chores.Stop()
	k.metrics.Close()
}

// run is the loop. It ends with ctx.
func (k *core) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var spare []func()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.inbox.ready:
		case <-timer.C:
		}
		spare = k.inbox.take(spare)
		for _, f := range spare {
			f()
		}
		k.lookAtClocks()
		k.advance()
		k.sweepOn()
		timer.Reset(time.Duration(k.sendLoads() - k.times.mono()))
	}
}

// advance has the schedules look whose time has come.
func (k *core) advance() {
	k.wheel.Advance(k.times.mono(), &k.due)
	for _, handles := range k.due.Groups() {
		for _, h := range handles {
			if e := k.entries[h]; e != nil {
				k.wake(e)
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
	k.lookAt = now + int64(timesEvery)
	var changed []bool // by partition; nil: none has
	for p := range k.partitions {
		found := k.times.look(p)
		if found == asBefore {
			continue
		}
		if found == stepped {
			k.metrics.Inc(metrics.ClockSteps)
			k.log.Warn("the clock of a server has stepped; ticks are timed by it", 1, "partition", p)
		}
		if changed == nil {
			changed = make([]bool, k.partitions)
		}
		changed[p] = true
	}
	if changed == nil {
		return
	}
	for _, e := range k.entries {
		if e != nil && changed[e.partition] && e.ticking != nil {
			k.refile(e)
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
		k.ends.Ended(l, err)
		return
	}
	if n := len(k.free); n > 0 {
		e.handle, k.free = k.free[n-1], k.free[:n-1]
		k.entries[e.handle] = e
	} else {
		e.handle = wheel.Handle(len(k.entries))
		k.entries = append(k.entries, e)
	}
	k.byName[l.Stream()] = e
	k.figures.schedules.Add(1)
	k.load(e)
}

// remove forgets an entry whose ownership is over.
func (k *core) remove(e *entry) {
	e.phase = over
	k.wheel.Cancel(e.handle)
	k.entries[e.handle] = nil
	k.free = append(k.free, e.handle)
	if k.byName[e.lease.Stream()] == e {
		delete(k.byName, e.lease.Stream())
	}
	if len(k.byName) == 0 && cap(k.entries) > keepRoom {
		k.entries, k.free, k.byName = nil, nil, make(map[string]*entry) // a Go map keeps the memory of the most that it had
	}
	k.figures.schedules.Add(-1)
	k.count(e, false, false)
}

// owned returns the entry of a lease, nil if its ownership is over.
func (k *core) owned(l api.Lease) *entry {
	if e := k.byName[l.Stream()]; e != nil && e.lease == l {
		return e
	}
	return nil
}

// arm has the loop look at an entry at a time by its server's clock; 0: not at all.
func (k *core) arm(e *entry, at int64) {
	if at == 0 {
		k.wheel.Cancel(e.handle)
		return
	}
	k.wheel.Schedule(e.handle, e.partition, min(k.times.at(int(e.partition), at), math.MaxInt64/2))
}
