package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule"
)

// schedulesAtOnce is how many schedules one call of the table changes: between calls the progress shows.
const schedulesAtOnce = 2048

// scheduleChange is a change of some schedules.
type scheduleChange struct {
	done  string // what becomes of them, as in "is paused"
	then  string // what that means
	asks  bool   // even if all are named
	do    func(ctx context.Context, t *schedule.Table, names []string) (changed int, err error)
	again string // what it means to repeat it after a call without an answer
}

// schedulesOutcome is what became of schedules, in JSON.
type schedulesOutcome struct {
	outcome
	Matched  int      `json:"matched"`
	Changed  int      `json:"changed"`
	Examples []stream `json:"examples"`
	Missing  []stream `json:"missing"` // named, and not there
}

func (e *env) pauseSchedules() *cli.Command {
	return e.changeSchedules("pause", "have schedules fire no ticks; who owns them goes on owning them", func(c *call) scheduleChange {
		return scheduleChange{
			done: "paused", then: "Each fires no ticks until it is resumed, and misses none.",
			do: func(ctx context.Context, t *schedule.Table, names []string) (int, error) {
				return allOf(names, t.Pause(ctx, reason(c.cmd.String("reason")), names...))
			},
			again: harmless,
		}
	}, &cli.StringFlag{Name: "reason", Usage: "why, for whoever looks at them; your name and host are put in front"})
}

func (e *env) resumeSchedules() *cli.Command {
	return e.changeSchedules("resume", "end a pause; the next tick is the next one of the grid", func(*call) scheduleChange {
		return scheduleChange{
			done: "resumed", then: "The next tick of each is the next one of its grid.",
			do: func(ctx context.Context, t *schedule.Table, names []string) (int, error) {
				return allOf(names, t.Resume(ctx, names...))
			},
			again: harmless,
		}
	})
}

func (e *env) triggerSchedules() *cli.Command {
	return e.changeSchedules("trigger", "ask for one tick of each schedule now, also of one that is paused", func(*call) scheduleChange {
		return scheduleChange{
			done: "triggered", then: "Each fires one tick besides those of its grid.",
			do: func(ctx context.Context, t *schedule.Table, names []string) (int, error) {
				return allOf(names, t.Trigger(ctx, names...))
			},
			again: "to trigger again may fire another tick: look at the schedule first",
		}
	})
}

func (e *env) deleteSchedules() *cli.Command {
	return e.changeSchedules("delete", "delete schedules with their state", func(c *call) scheduleChange {
		var opts []schedule.DeleteOption
		if c.cmd.Bool("wait") {
			opts = append(opts, schedule.Wait())
		}
		return scheduleChange{
			done: "deleted", then: "The state of each is lost.", asks: true,
			do: func(ctx context.Context, t *schedule.Table, names []string) (int, error) {
				return t.Delete(ctx, names, opts...)
			},
			again: harmless,
		}
	}, &cli.BoolFlag{Name: "wait", Usage: "return only when nobody owns them any more"})
}

const harmless = "run the same command again, which does no harm"

// allOf is how many were changed by a call that changes all or says why not.
func allOf(names []string, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return len(names), nil
}

func (e *env) changeSchedules(name, does string, change func(*call) scheduleChange, flags ...cli.Flag) *cli.Command {
	return e.task(task{
		name: name, usage: does, args: "NAME..., or -prefix TEXT, or -all", most: -1, changes: true,
		flags: append(flags,
			&cli.StringFlag{Name: "prefix", Usage: "schedules whose names begin with this"},
			&cli.BoolFlag{Name: "all", Usage: "all schedules of the service"}),
		check: checkSchedules,
		do: func(ctx context.Context, c *call) error {
			w := change(c)
			return c.schedules(ctx, &w)
		},
	})
}

func checkSchedules(c *cli.Command) error {
	chosen := 0
	for _, is := range []bool{c.NArg() > 0, c.IsSet("prefix"), c.Bool("all")} {
		if is {
			chosen++
		}
	}
	switch {
	case chosen == 0:
		return usage("no schedule is named: use names, -prefix, or -all for all of the service")
	case chosen > 1:
		return usage("use only one of names, -prefix and -all")
	case c.IsSet("prefix") && c.String("prefix") == "":
		return usage("-prefix is empty; use -all for all schedules of the service")
	}
	for _, name := range c.Args().Slice() {
		if name == "" {
			return usage("a name is empty")
		}
	}
	if n := len(reason(c.String("reason"))); n > schedule.MaxNote {
		return usage("-reason: with your name and host it has %d bytes, the limit is %d; make it shorter", n, schedule.MaxNote)
	}
	return nil
}

// schedules changes the schedules that the command line selects.
func (c *call) schedules(ctx context.Context, w *scheduleChange) error {
	t, err := c.table(ctx)
	if err != nil {
		return err
	}
	names, missing, err := c.namesOf(ctx, t)
	if err != nil {
		return err
	}
	result := schedulesOutcome{Matched: len(names), Examples: []stream{}, Missing: []stream{}}
	for _, name := range names[:min(len(names), shownExamples)] {
		result.Examples = append(result.Examples, streamOf(name))
	}
	for _, name := range missing {
		result.Missing = append(result.Missing, streamOf(name))
	}
	if len(names) == 0 {
		if err = absent(missing); err == nil {
			err = nothing("no schedule is selected, nothing was changed")
		}
		result.outcome = c.outcome(err)
		return c.report(result, err)
	}
	goOn, err := c.confirmChange(ctx, w, names)
	if err != nil {
		return err
	}
	if goOn {
		result.Changed, err = c.changeAll(ctx, t, w, names)
		c.tell("%s %s.", quantity(result.Changed, "schedule was", "schedules were"), w.done)
	}
	if err == nil {
		err = absent(missing)
	}
	result.outcome = c.outcome(err)
	return c.report(result, err)
}

// absent returns an error that says which names are of no schedule; nil if there are none.
func absent(missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	return nothing("%s, as %s", quantity(len(missing), "name is of no schedule", "names are of no schedule"), named(missing[0]))
}

// namesOf returns the schedules that the command line selects, and the names of which there are none.
func (c *call) namesOf(ctx context.Context, t *schedule.Table) (names, missing []string, err error) {
	if c.cmd.NArg() == 0 {
		steps := c.steps("looking", 0)
		defer steps.end()
		for s, err := range t.List(ctx, schedule.Filter{Prefix: c.cmd.String("prefix")}) {
			if err != nil {
				return nil, nil, err
			}
			names = append(names, s.Spec.Name)
			steps.at(len(names), len(names), "%s so far", counted(len(names), "schedule"))
		}
		return names, nil, nil
	}
	given := c.cmd.Args().Slice()
	slices.Sort(given)
	for _, name := range slices.Compact(given) {
		_, err := t.Get(ctx, name)
		switch {
		case errors.Is(err, schedule.ErrNoSchedule):
			missing = append(missing, name)
		case errors.Is(err, api.ErrInvalidStream):
			return nil, nil, usage("%w", err)
		case err != nil:
			return nil, nil, err
		default:
			names = append(names, name)
		}
	}
	return names, missing, nil
}

// confirmChange shows what becomes of schedules, and asks: before what is lost for good, and where they are not named one by one.
func (c *call) confirmChange(ctx context.Context, w *scheduleChange, names []string) (goOn bool, err error) {
	will := "will"
	if c.cmd.Bool("dry-run") {
		will = "would"
	}
	c.tell("%s %s be %s. %s", counted(len(names), "schedule"), will, w.done, w.then)
	for _, name := range names[:min(len(names), shownExamples)] {
		c.tell("    %s", named(name))
	}
	if more := len(names) - shownExamples; more > 0 {
		c.tell("    and %s more", number(more))
	}
	if !w.asks && c.cmd.NArg() > 0 && !c.cmd.Bool("dry-run") {
		return true, nil
	}
	word := c.service
	if len(names) == 1 {
		word = single
	}
	return c.confirm(ctx, word)
}

// changeAll changes schedules, some at a time.
func (c *call) changeAll(ctx context.Context, t *schedule.Table, w *scheduleChange, names []string) (changed int, err error) {
	steps := c.steps(w.done, len(names))
	defer steps.end()
	for done := 0; done < len(names); {
		some := names[done:min(done+schedulesAtOnce, len(names))]
		n, err := w.do(ctx, t, some)
		changed, done = changed+n, done+len(some)
		if unanswered(err) {
			return changed, fmt.Errorf("%w\nSome may have been %s all the same; %s", err, w.done, w.again)
		}
		if err != nil {
			return changed, fmt.Errorf("%w\nOf %s, others may have been %s", err, counted(len(some), "schedule"), w.done)
		}
		steps.at(done, len(names), "%s", counted(changed, "schedule"))
	}
	return changed, nil
}
