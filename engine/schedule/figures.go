package schedule

import (
	"sync/atomic"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// Stats are figures of a runner at one moment.
type Stats struct {
	// Schedules is how many schedules this process owns; Paused how many of them are paused, and Broken how many do not tick since
	// their spec cannot be read.
	Schedules, Paused, Broken int
	// Running is how many ticks are at work, and Waiting how many of those that are due wait for a worker.
	Running, Waiting int
}

// figures are what is measured when somebody asks for it.
type figures struct {
	waiting                            func() int // ticks that wait for a worker
	schedules, paused, broken, running atomic.Int64
}

func (f *figures) stats() Stats {
	return Stats{Schedules: int(f.schedules.Load()), Paused: int(f.paused.Load()), Broken: int(f.broken.Load()),
		Running: int(f.running.Load()), Waiting: f.waiting()}
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

// move counts a schedule as is, which was counted as was.
func (f *figures) move(was, is counted) {
	add := func(n *atomic.Int64, was, is bool) {
		switch {
		case is && !was:
			n.Add(1)
		case was && !is:
			n.Add(-1)
		}
	}
	add(&f.schedules, was.owned, is.owned)
	add(&f.broken, was.broken, is.broken)
	add(&f.paused, was.paused, is.paused)
}

// counted is what a schedule counts as.
type counted struct{ owned, broken, paused bool }
