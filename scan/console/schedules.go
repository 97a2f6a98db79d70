package console

import (
	"context"
	"errors"
	"net/http"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
)

// ErrNoSchedule is what Schedules.Get returns, or wraps, for a name that no schedule has.
var ErrNoSchedule = errors.New("console: no such schedule")

// schedulesView is what the pages of schedules show.
type schedulesView struct {
	Offered bool // WithSchedules is set
	Number  int  // how many there are, where it is not; -1: unknown
	Rows    []Schedule
	One     *Schedule
	Wanted  string // the name that was looked for
	Next    string // link
	First   bool
}

func schedulesPage(s *site, r *http.Request) (*view, error) {
	cursor, err := cursorOf(r.URL.Query())
	if err != nil {
		return nil, err
	}
	data := &schedulesView{Offered: s.set.schedules != nil, First: cursor == ""}
	v := &view{template: "schedules", title: "Schedules", here: "schedules", data: data}
	ctx, done := s.bounded(r)
	defer done()
	if !data.Offered {
		data.Number = s.countSchedules(ctx)
		return v, nil
	}
	rows, next, err := s.set.schedules.Page(ctx, cursor, 100)
	if err != nil {
		return nil, err
	}
	data.Rows = rows
	if next != "" {
		data.Next = link("schedules", "cursor", next)
	}
	return v, nil
}

func schedulePage(s *site, r *http.Request) (*view, error) {
	name := r.URL.Query().Get("name")
	if s.set.schedules == nil || name == "" {
		return schedulesPage(s, r)
	}
	data := &schedulesView{Offered: true, Wanted: name}
	v := &view{template: "schedules", title: "Schedule " + short(name), here: "schedules", data: data}
	ctx, done := s.bounded(r)
	defer done()
	switch one, err := s.set.schedules.Get(ctx, name); {
	case errors.Is(err, ErrNoSchedule):
		v.status = http.StatusNotFound
	case err != nil:
		return nil, err
	default:
		data.One = &one
	}
	return v, nil
}

// countSchedules returns how many schedules the service has, -1 if that cannot be read.
func (s *site) countSchedules(ctx context.Context) (n int) {
	partitions, err := s.inspect().Partitions(ctx)
	if err != nil {
		return -1
	}
	layout, err := cluster.NewLayout(s.service, partitions)
	if err != nil {
		return -1
	}
	commands := make(rueidis.Commands, partitions)
	for p := range commands {
		commands[p] = s.client.B().Hlen().Key(layout.Keys(p).Schedules).Build()
	}
	for _, result := range s.client.DoMulti(ctx, commands...) {
		some, err := result.AsInt64()
		if err != nil {
			return -1
		}
		n += int(some)
	}
	return n
}
