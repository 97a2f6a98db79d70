package firing

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	prefix = "tick-"
	// patience is how long a change may take, while servers are in trouble.
	patience = 2 * time.Minute
	// unsaved is how long before a trouble a tick may have been fired whose checkpoint was not stored: the second in which they are
	// collected, and a busy machine.
	unsaved = 3 * time.Second
	// calm is how long nothing is disturbed in the end, besides three sessions: everything that was missed comes, and then what is due.
	calm = 8 * time.Second
)

// Options say what a soak of ticks does.
type Options struct {
	storm.Options
	Schedules int
	Changes   float64 // of schedules, a second on average
}

// soak is one run: storm.Work.
type soak struct {
	*storm.Soak
	options Options
	editor  *editor
	audit   fired.Audit
	result  Result
}

// Run has processes fire ticks while troubles strike and schedules are changed, on a private cluster, and checks what they fired. If a promise
// did not hold, logs and notes are kept.
func Run(ctx context.Context, o Options, r *report.Report) error {
	o.ChooseSeed()
	return storm.RunSoak(ctx, "ticks", o.Options, &soak{options: o, result: Result{Options: o}}, r)
}

// Prepare starts the processes, and puts the schedules.
func (s *soak) Prepare(ctx context.Context, on *storm.Soak) error {
	s.Soak = on
	table, err := schedule.NewTable(s.Client, storm.Service, engine.WithPartitions(s.options.Partitions))
	if err != nil {
		return err
	}
	s.editor = newEditor(table, s.Storm, s.options)
	if err := s.Start(ctx, "ticker", s.options.args); err != nil {
		return err
	}
	s.audit = fired.Audit{Session: s.options.SessionTTL, Deferred: ticker.MaxDeferred(s.options.SessionTTL), Slow: ticker.SlowFor,
		Unsaved: unsaved, Within: within, Zero: time.Duration(time.Now().UnixNano()) - journal.Monotonic()}
	if err := s.editor.populate(ctx); err != nil {
		return err
	}
	s.audit.Begin = journal.Monotonic()
	return nil
}

// args are the arguments with which this program becomes the process of that name.
func (o Options) args(run, notes string) []string {
	return ticker.Options{Model: ticker.Owned, Service: storm.Service, Prefix: prefix, Partitions: o.Partitions, LeaseTTL: o.LeaseTTL,
		SessionTTL: o.SessionTTL, Consumer: run, Notes: notes, Troubled: true}.Args()
}

// Drive changes schedules.
func (s *soak) Drive(ctx context.Context) error { return s.editor.run(ctx, s.options.Changes) }

// Finish waits until everything is fired that was missed, drains the processes, and checks what they noted.
func (s *soak) Finish(ctx context.Context) (storm.Result, error) {
	err := s.finish(ctx)
	return s.result, errors.Join(err, s.editor.write(s.Dir))
}

func (s *soak) finish(ctx context.Context) error {
	if err := s.editor.settle(ctx); err != nil {
		return err
	}
	if err := measure.Pause(ctx, calm+3*s.options.SessionTTL); err != nil {
		return err
	}
	s.audit.End = journal.Monotonic()
	if err := s.Drain(); err != nil {
		return err
	}
	for _, p := range s.Places {
		for _, r := range p.Runs() {
			all, err := fired.Notes(r.Notes).More()
			if err != nil {
				return err
			}
			s.audit.Add(r.Name, all)
		}
	}
	var err error
	if s.result.Differs, err = s.editor.differs(ctx); err != nil {
		return err
	}
	s.judge()
	return ctx.Err()
}

// judge checks what was noted.
func (s *soak) judge() {
	s.audit.Changes, s.audit.Repairs = s.editor.changes, s.editor.repairs
	s.result.Changed, s.result.Retried, s.result.Repairs = s.editor.made, s.editor.retried, len(s.editor.repairs)
	var itself []storm.Struck
	for _, t := range s.audit.Troubles { // what processes found by themselves
		itself = append(itself, storm.Struck{Name: storm.Stood, Process: t.Process, From: t.From, Until: t.Until})
	}
	s.audit.Troubles = nil
	for _, t := range s.Troubles(itself) {
		s.audit.Troubles = append(s.audit.Troubles, fired.Trouble{
			Name: t.Name, Process: t.Process, From: t.From, Until: t.Until, Quiet: t.Quiet(), Harmless: t.Harmless(), Forgets: t.Name == storm.Crashed,
			Hits: func(schedule int) bool { return t.Hits(s.Layout.Keys(s.Layout.Of(name(schedule))).Slot) },
		})
	}
	s.result.Findings, s.result.Outcome = s.audit.Run(), s.Outcome
}
