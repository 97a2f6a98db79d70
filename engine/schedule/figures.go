package schedule

import (
	"sync/atomic"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/pool"
)

// figures are what is measured when somebody asks for it.
type figures struct {
	workers                            *pool.Pool[func()]
	schedules, paused, broken, running atomic.Int64
}

func (f *figures) stats() Stats {
	return Stats{Schedules: int(f.schedules.Load()), Paused: int(f.paused.Load()), Broken: int(f.broken.Load()),
		Running: int(f.running.Load()), Waiting: f.workers.Waiting()}
}

// gauges are measured when a scrape asks for them.
func (f *figures) gauges(emit metrics.Emit) {
	s := f.stats()
	for _, g := range []struct {
		gauge metrics.Gauge
		value int
	}{
		{metrics.Schedules, s.Schedules},
		{metrics.SchedulesPaused, s.Paused},
		{metrics.SchedulesBroken, s.Broken},
		{metrics.TicksRunning, s.Running},
		{metrics.TicksWaiting, s.Waiting},
	} {
		emit(g.gauge, api.NoPartition, float64(g.value))
	}
}

// count counts an entry as broken, paused, both or neither, from now on.
func (k *core) count(e *entry, broken, paused bool) {
	add := func(n *atomic.Int64, was, is bool) {
		switch {
		case is && !was:
			n.Add(1)
		case was && !is:
			n.Add(-1)
		}
	}
	add(&k.figures.broken, e.broken, broken)
	add(&k.figures.paused, e.paused, paused)
	e.broken, e.paused = broken, paused
}
