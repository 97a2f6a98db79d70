package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

func (e *env) deleteService() *cli.Command {
	return e.task(task{
		name: "delete-service", usage: "delete everything that a stopped service has, announcements and dead letters included", changes: true,
		flags: []cli.Flag{keysFlag()},
		do:    func(ctx context.Context, c *call) error { return apply(ctx, c, &deletion{}) },
	})
}

func (e *env) repartition() *cli.Command {
	return e.task(task{
		name: "repartition", usage: "give a stopped service another number of partitions; nothing is lost", changes: true,
		flags: []cli.Flag{&cli.IntFlag{Name: "to", Usage: "number of partitions that the service is to have"}, keysFlag()},
		check: func(c *cli.Command) error {
			if n := c.Int("to"); n < 1 || n > cluster.MaxPartitions {
				return usage("-to: %d is not between 1 and %d", n, cluster.MaxPartitions)
			}
			return nil
		},
		do: func(ctx context.Context, c *call) error { return apply(ctx, c, &repartition{to: c.cmd.Int("to")}) },
	})
}

// change is a change of a service as a whole.
type change interface {
	plan(s *scan.Survey) string
	do(ctx context.Context, i *scan.Inspector, progress func(scan.Progress)) (result string, err error)
	object() *wholeOutcome
}

// wholeOutcome is what a change of a service as a whole did, in JSON: first what the service had.
type wholeOutcome struct {
	outcome
	Partitions    int `json:"partitions"`
	Announcements int `json:"announcements"`
	Delayed       int `json:"delayed"`
	DeadLetters   int `json:"dead_letters"`
	Schedules     int `json:"schedules"`

	Target  *int `json:"target,omitempty"`       // number of partitions
	Moved   *int `json:"moved,omitempty"`        // announcements, dead letters, checkpoints and schedules
	Deleted *int `json:"deleted_keys,omitempty"` // keys
}

// apply shows what there is and what will be done, asks for confirmation, and does it.
func apply(ctx context.Context, c *call, what change) error {
	survey, err := c.inspector.Survey(ctx)
	if err != nil {
		return err
	}
	if survey.Partitions == 0 && survey.State == "" && len(survey.Contents) == 0 && len(survey.Unknown) == 0 {
		return nothing("this database has nothing of service %s; check the name and -redis", c.service)
	}
	describe(c, survey)
	c.tell("%s", what.plan(survey))
	if err := survey.Running(); err != nil {
		return err
	}
	goOn, err := c.confirm(ctx, survey.Service)
	if err != nil {
		return err
	}
	if goOn {
		err = c.whole(ctx, what)
	}
	result, had := what.object(), survey.Total()
	result.outcome, result.Partitions = c.outcome(err), survey.Partitions
	result.Announcements, result.Delayed, result.DeadLetters, result.Schedules = had.Announcements, had.Later, had.DeadLetters, had.Schedules
	return c.report(result, err)
}

// whole does a change of the service as a whole.
func (c *call) whole(ctx context.Context, what change) error {
	steps := c.steps("partitions", 0)
	defer steps.end()
	result, err := what.do(ctx, c.inspector, func(p scan.Progress) {
		steps.at(max(p.Partition, 0), p.Of, "%d keys deleted, %d items moved", p.Deleted, p.Moved)
	})
	steps.end()
	for _, said := range []error{scan.ErrServiceRunning, scan.ErrServiceJoined, scan.ErrTakenOver} {
		if errors.Is(err, said) {
			return err // the error says what to do
		}
	}
	if err != nil {
		return fmt.Errorf("%w (run the same command again to continue)", err)
	}
	c.tell("%s", result)
	return nil
}

// contents writes what a service has in its partitions.
func (c *call) contents(s *scan.Survey) {
	if c.json || len(s.Contents) == 0 {
		return
	}
	cells := func(first any, p *scan.Contents) []any {
		return []any{first, p.Announcements, p.Pending, p.Later, p.DeadLetters, p.Schedules, p.Leases, p.Alive}
	}
	l := listing{head: []any{">PARTITION", ">ANNOUNCED", ">PENDING", ">DELAYED", ">DEAD LETTERS", ">SCHEDULES", ">LEASES", ">ALIVE"}}
	for n := range s.Contents {
		l.row(cells(s.Contents[n].Partition, &s.Contents[n])...)
	}
	if total := s.Total(); len(l.rows) > 1 {
		l.foot = cells("all", &total)
	}
	fmt.Fprintln(c.out, c.render(&l))
	if !c.cmd.Bool("keys") {
		return
	}
	l = listing{head: []any{"KEY", "TYPE", ">LENGTH"}}
	for _, p := range s.Contents {
		for _, k := range p.Keys {
			l.row(k.Name, k.Type, k.Length)
		}
	}
	fmt.Fprintln(c.out, c.render(&l))
}

func keysFlag() cli.Flag { return &cli.BoolFlag{Name: "keys", Usage: "show every key, too"} }

// describe writes what a service has.
func describe(c *call, s *scan.Survey) {
	switch {
	case s.State == lease.Deleting:
		c.tell("Service %s: its deletion has begun and is not finished.", s.Service)
	case s.State != "":
		c.tell("Service %s: %s from %d to %d partitions has begun and is not finished.", s.Service, s.State, s.Partitions, s.Target)
	case s.Partitions == 0:
		c.tell("Service %s: no number of partitions is on record.", s.Service)
	default:
		c.tell("Service %s: %s.", s.Service, counted(s.Partitions, "partition"))
	}
	c.contents(s)
	if len(s.Unknown) > 0 {
		c.tell("Keys that this version does not know: %s", strings.Join(s.Unknown, ", "))
	}
}

type deletion struct{ deleted int }

func (*deletion) plan(s *scan.Survey) string {
	t := s.Total()
	return fmt.Sprintf("Everything will be deleted: %s, %s delayed, %s, and %s will be lost.",
		counted(t.Announcements, "announcement"), number(t.Later), counted(t.DeadLetters, "dead letter"), counted(t.Schedules, "schedule"))
}

func (d *deletion) do(ctx context.Context, i *scan.Inspector, progress func(scan.Progress)) (result string, err error) {
	d.deleted, err = i.DeleteService(ctx, progress)
	return fmt.Sprintf("%s deleted.", quantity(d.deleted, "key was", "keys were")), err
}

func (d *deletion) object() *wholeOutcome { return &wholeOutcome{Deleted: &d.deleted} }

type repartition struct{ to, moved int }

func (r *repartition) plan(s *scan.Survey) string {
	t := s.Total()
	return fmt.Sprintf("It will have %s; of %s, %s delayed, %s, and %s, those that then belong to another partition will be moved.", counted(r.to, "partition"),
		counted(t.Announcements, "announcement"), number(t.Later), counted(t.DeadLetters, "dead letter"), counted(t.Schedules, "schedule"))
}

func (r *repartition) do(ctx context.Context, i *scan.Inspector, progress func(scan.Progress)) (result string, err error) {
	r.moved, err = i.Repartition(ctx, r.to, progress)
	return fmt.Sprintf("%s moved; start engines and publishers with WithPartitions(%d).", quantity(r.moved, "item was", "items were"), r.to), err
}

func (r *repartition) object() *wholeOutcome { return &wholeOutcome{Target: &r.to, Moved: &r.moved} }
