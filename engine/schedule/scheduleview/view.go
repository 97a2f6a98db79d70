package scheduleview

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/scan/console"
)

// New returns the schedules of a table, for console.WithSchedules. It starts nothing.
func New(table *schedule.Table) console.Schedules { return view{table} }

type view struct{ table *schedule.Table }

// Page returns some schedules, as schedule.Table.Page does.
func (v view) Page(ctx context.Context, cursor string, count int) ([]console.Schedule, string, error) {
	rows, next, err := v.table.Page(ctx, cursor, count)
	page := make([]console.Schedule, len(rows))
	for n := range rows {
		page[n] = shown(&rows[n])
	}
	return page, next, err
}

// Get returns one schedule. Errors match console.ErrNoSchedule, or are those of schedule.Table.Get.
func (v view) Get(ctx context.Context, name string) (console.Schedule, error) {
	one, err := v.table.Get(ctx, name)
	if errors.Is(err, schedule.ErrNoSchedule) {
		return console.Schedule{}, fmt.Errorf("%w: %w", console.ErrNoSchedule, err)
	}
	return shown(&one), err
}

func shown(s *schedule.Status) console.Schedule {
	out := console.Schedule{
		Name: s.Spec.Name, When: when(&s.Spec), Last: s.Last, Next: s.Next, Missed: s.Missed, Owner: s.Owner, Paused: s.Paused, Note: s.Note,
		Triggered: s.Triggered, DeadLetter: s.DeadLetter, State: string(s.State),
	}
	if s.Err != nil {
		out.Err = s.Err.Error()
	}
	return out
}

// when says when a schedule has ticks, in words.
func when(s *schedule.Spec) string {
	switch {
	case s.Cron == "" && s.Every == 0:
		return "unknown"
	case s.Cron == "":
		return "every " + s.Every.String()
	case s.Zone == "":
		return s.Cron + " UTC"
	}
	return s.Cron + " " + s.Zone
}
