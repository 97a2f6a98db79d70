package firing

import (
	"strconv"
	"time"

	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/engine/schedule"
)

// state is what one schedule is meant to be.
type state struct {
	number     int
	generation uint32
	other      bool // it has its other times
	absent     bool
	paused     bool
	changed    time.Duration // when it was changed last, on the clock of journals
}

// times are those of a schedule: an interval, or a cron expression whose ticks are as far apart.
type times struct {
	every time.Duration
	cron  string
}

// timesOf are those of a number, and its others. Most schedules are frequent, since the rare ones show little in a short run.
func timesOf(number int) [2]times {
	switch k := number % 20; {
	case k == 0:
		return [2]times{{time.Minute, "* * * * *"}, {2 * time.Minute, "*/2 * * * *"}}
	case k <= 2:
		return [2]times{{every: 10 * time.Minute}, {every: 15 * time.Second}}
	case k <= 8:
		return [2]times{{every: 15 * time.Second}, {every: 10 * time.Second}}
	}
	return [2]times{{every: time.Second}, {every: 2 * time.Second}}
}

func name(number int) string { return prefix + strconv.Itoa(number) }

func (s *state) times() times {
	if s.other {
		return timesOf(s.number)[1]
	}
	return timesOf(s.number)[0]
}

func (s *state) spec() schedule.Spec {
	t := s.times()
	spec := schedule.Spec{Name: name(s.number), Info: ticker.Info{Generation: s.generation}}
	if spec.Cron = t.cron; t.cron == "" {
		spec.Every = t.every
	}
	if s.number%2 == 0 {
		spec.First = schedule.OnGrid
	}
	return spec
}

func (s *state) grid() fired.Grid {
	t := s.times()
	if t.cron != "" {
		return fired.Grid{Every: t.every.Milliseconds()}
	}
	return fired.NamedGrid(name(s.number), t.every)
}
