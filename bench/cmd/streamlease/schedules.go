package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule"
)

func (e *env) schedulesList() *cli.Command {
	return e.task(task{
		name: "list", usage: "list schedules, or those that are named, with all that is known of them", args: "[name...]", most: -1, do: schedules,
		flags: []cli.Flag{
			&cli.StringFlag{Name: "prefix", Usage: "only those whose names begin with `TEXT`"},
			&cli.BoolFlag{Name: "paused", Usage: "only those that are paused"},
			&cli.BoolFlag{Name: "unowned", Usage: "only those that nobody owns"},
			&cli.BoolFlag{Name: "failing", Usage: "only those that cannot tick: broken, or dead letters"},
			limitFlag(),
		},
		description: "Where there are more than -limit, they are any of them. Times are those of the grid; the last one may be up to a second behind. OVERDUE is how long ago the\n" +
			"next tick should have been: it is late, or the schedule stands still.",
	})
}

// scheduled is a schedule in JSON.
type scheduled struct {
	stream
	Every      float64         `json:"every_seconds,omitempty"`
	Cron       string          `json:"cron,omitempty"`
	Zone       string          `json:"zone,omitempty"`
	Start      *time.Time      `json:"start"`
	End        *time.Time      `json:"end"`
	State      string          `json:"state"`
	Paused     bool            `json:"paused"`
	Note       string          `json:"note"`
	Created    *time.Time      `json:"created"`
	Last       *time.Time      `json:"last"`
	Next       *time.Time      `json:"next"`
	Following  []*time.Time    `json:"following"`
	Number     uint64          `json:"number"`
	Missed     int             `json:"missed"`
	Triggered  bool            `json:"triggered"`
	Owner      string          `json:"owner"`
	Token      api.Token       `json:"token"`
	DeadLetter bool            `json:"dead_letter"`
	Rev        int64           `json:"rev"`
	Info       json.RawMessage `json:"info"`
	Saved      []byte          `json:"saved_base64"` // what its task saved
	Error      string          `json:"error,omitempty"`
}

func scheduledOf(s *schedule.Status) scheduled {
	j := scheduled{
		stream: streamOf(s.Spec.Name), Every: seconds(s.Spec.Every), Cron: s.Spec.Cron, Zone: s.Spec.Zone,
		Start: stamp(s.Spec.Start), End: stamp(s.Spec.End), State: scheduleState(s), Paused: s.Paused, Note: s.Note, Created: stamp(s.Created),
		Last: stamp(s.Last), Next: stamp(s.Next), Following: []*time.Time{}, Number: s.Number, Missed: s.Missed, Triggered: s.Triggered,
		Owner: s.Owner, Token: s.Token, DeadLetter: s.DeadLetter, Rev: s.Rev, Saved: s.State,
	}
	for _, t := range s.Following {
		if !t.IsZero() {
			j.Following = append(j.Following, stamp(t))
		}
	}
	if info, ok := s.Spec.Info.(json.RawMessage); ok && json.Valid(info) {
		j.Info = info
	}
	if s.Err != nil {
		j.Error = s.Err.Error()
	}
	return j
}

// scheduleState says in a word whether a schedule ticks.
func scheduleState(s *schedule.Status) string {
	switch {
	case s.Err != nil:
		return "broken"
	case s.DeadLetter:
		return "dead letter"
	case s.Paused:
		return "paused"
	case s.Next.IsZero():
		return "ended"
	case s.Owner == "":
		return "unowned"
	}
	return "ticks"
}

var toneOfSchedule = map[string]tone{"broken": bad, "dead letter": bad, "paused": warn, "ended": faint, "unowned": warn, "ticks": good}

func schedules(ctx context.Context, c *call) error {
	table, err := c.table(ctx)
	if err != nil {
		return err
	}
	if c.cmd.Args().Present() {
		return schedulesNamed(ctx, c, table)
	}
	filter := schedule.Filter{
		Prefix: c.cmd.String("prefix"), Paused: c.cmd.Bool("paused"), Unowned: c.cmd.Bool("unowned"), Failing: c.cmd.Bool("failing"),
	}
	found, more, err := upTo(c.cmd.Int("limit"), table.List(ctx, filter))
	slices.SortFunc(found, func(a, b schedule.Status) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	all, now := []scheduled{}, c.clock(ctx)
	l := &listing{head: []any{"schedule", "when", "state", "last tick", "next tick", ">tick no.", ">missed", "owner"}, none: "No schedules."}
	for _, s := range found {
		all = append(all, scheduledOf(&s))
		l.row(scheduleCells(&s, now)...)
	}
	l.foot = []any{counted(len(all), "schedule") + orMore(more)}
	if err1 := c.list(all, l); err1 != nil || err != nil {
		return cmp.Or(err, err1)
	}
	if len(all) == 0 {
		if filter != (schedule.Filter{}) {
			return nothing("no schedule matches")
		}
		return nil
	}
	c.hint("Next: streamlease schedules list NAME shows all of one; pause, resume, trigger and delete change it.")
	return nil
}

func scheduleCells(s *schedule.Status, now time.Time) []any {
	state := scheduleState(s)
	return []any{
		named(s.Spec.Name), when(&s.Spec), toned{toneOfSchedule[state], state}, relative(s.Last, now), nextTick(s, now), int(s.Number),
		unless0(warn, s.Missed), orDash(s.Owner),
	}
}

// nextTick says when the next tick is, or since when it is overdue.
func nextTick(s *schedule.Status, now time.Time) any {
	if late := now.Sub(s.Next); !s.Next.IsZero() && late > 2*time.Second {
		return toned{warn, "overdue " + span(late)}
	}
	return relative(s.Next, now)
}

// when says when a schedule ticks.
func when(s *schedule.Spec) string {
	if s.Cron == "" {
		every := span(s.Every)
		if cut := strings.LastIndex(every, " 0 "); cut > 0 { // the smaller unit
			every = every[:cut]
		}
		return "every " + every
	}
	if s.Zone == "" {
		return s.Cron + " UTC"
	}
	return s.Cron + " " + s.Zone
}

// schedulesNamed shows all of each schedule that is named.
func schedulesNamed(ctx context.Context, c *call, table *schedule.Table) error {
	all, now := []scheduled{}, c.clock(ctx)
	var missing []error
	for _, name := range c.cmd.Args().Slice() {
		s, err := table.Get(ctx, name)
		switch {
		case errors.Is(err, schedule.ErrNoSchedule):
			missing = append(missing, nothing("no schedule is called %s", named(name)))
			continue
		case err != nil:
			return err
		}
		all = append(all, scheduledOf(&s))
		if c.json {
			continue
		}
		if len(all) > 1 {
			fmt.Fprintln(c.out)
		}
		if err := c.labelled(nil, scheduleFields(&s, now)); err != nil {
			return err
		}
	}
	if c.json {
		missing = append(missing, c.array(all))
	}
	return errors.Join(missing...)
}

func scheduleFields(s *schedule.Status, now time.Time) (f fields) {
	state := scheduleState(s)
	f.add("schedule", namedIn(s.Spec.Name, 200))
	f.add("state", toned{toneOfSchedule[state], state})
	if s.Err != nil {
		f.add("why", s.Err.Error())
	}
	if s.DeadLetter {
		f.add("why", "its announcement became a dead letter: streamlease dlq list -stream NAME says why; send it back")
	}
	if s.Note != "" {
		f.add("note", s.Note)
	}
	f.add("when", when(&s.Spec))
	f.add("last tick", moment(s.Last, now))
	f.add("next tick", nextTick(s, now))
	for n, t := range s.Following {
		if !t.IsZero() {
			f.add([]string{"then", "", ""}[n], moment(t, now))
		}
	}
	f.add("tick number", int(s.Number))
	f.add("missed since", s.Missed)
	if s.Triggered {
		f.add("triggered", "a tick was asked for that was not fired yet")
	}
	f.add("owner", orDash(s.Owner))
	f.add("token", orDash(tokenText(s.Token)))
	if !s.Spec.Start.IsZero() || !s.Spec.End.IsZero() {
		f.add("bounds", moment(s.Spec.Start, now)+" to "+moment(s.Spec.End, now))
	}
	f.add("created", moment(s.Created, now))
	f.add("revision", fmt.Sprint(s.Rev))
	f.add("info", shortened(fmt.Sprintf("%s", s.Spec.Info), 200))
	f.add("saved", counted(len(s.State), "byte"))
	return f
}
