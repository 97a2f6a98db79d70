package ticks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/journal"
)

// scene is a server with schedules, and processes that fire their ticks.
type scene struct {
	target    *target.Target
	table     *schedule.Table
	options   ticker.Options // of processes
	processes []*process
	dir       string // of notes; empty: there are none
	changes   [][]fired.Change
	idle      measure.Usage // of the server, before there was anything
}

// process is one that was started.
type process struct {
	ticker.Process
	name string
	gone bool
}

// patience is how long schedules may take to be owned, which may be a million.
const patience = 10 * time.Minute

// stage makes a scene of so many schedules, of which none is put yet. Close it afterwards.
func stage(ctx context.Context, url string, o ticker.Options, r *report.Report) (s *scene, err error) {
	t, err := target.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	r.Redis = t.Version
	p := t.Track("ticks", o.Schedules)
	o.Service, o.Prefix = p.Service, p.Prefix
	s = &scene{target: t, options: o}
	// It would say that no engine has opened the service yet.
	if s.table, err = schedule.NewTable(t.Client, p.Service, engine.WithLogger(slog.New(slog.DiscardHandler))); err == nil {
		s.idle, err = measure.ReadUsage(ctx, t.Client)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// journaled has processes note what they fire, from now on.
func (s *scene) journaled() (err error) {
	s.dir, err = os.MkdirTemp("", "streamlease-bench-")
	return err
}

// start starts a process.
func (s *scene) start(ctx context.Context) error {
	p := &process{name: fmt.Sprint("ticker-", len(s.processes)+1)}
	o := s.options
	o.Consumer = s.target.Name + "-" + p.name
	if s.dir != "" {
		o.Notes = s.notes(p)
	}
	var err error
	if p.Process, err = ticker.Start(ctx, s.target.URL, o); err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	_, err = p.Ask("look")
	return err
}

func (s *scene) notes(p *process) string { return filepath.Join(s.dir, p.name+".notes") }

// spec is that of schedule i, whose first tick is on the grid.
func (s *scene) spec(i int, every time.Duration) schedule.Spec {
	return schedule.Spec{Name: fmt.Sprint(s.options.Prefix, i), Every: every, First: schedule.OnGrid, Info: ticker.Info{Generation: 1}}
}

// specs are those of all schedules.
func (s *scene) specs(every time.Duration) iter.Seq[schedule.Spec] {
	return func(yield func(schedule.Spec) bool) {
		for i := range s.options.Schedules {
			if !yield(s.spec(i, every)) {
				return
			}
		}
	}
}

// put puts all schedules.
func (s *scene) put(ctx context.Context, every time.Duration) error {
	from := journal.Monotonic()
	synced, err := s.table.Sync(ctx, s.specs(every))
	if err != nil {
		return err
	}
	if synced.Created != s.options.Schedules {
		return fmt.Errorf("%d of %d schedules were created", synced.Created, s.options.Schedules)
	}
	if s.dir == "" {
		return nil
	}
	for i := range s.options.Schedules {
		s.changes = append(s.changes, []fired.Change{{
			What: fired.Create, Generation: 1, From: from, Until: journal.Monotonic(), Grid: fired.NamedGrid(s.spec(i, every).Name, every),
		}})
	}
	return nil
}

// living are the processes that were not ended.
func (s *scene) living() (all []*process) {
	for _, p := range s.processes {
		if !p.gone {
			all = append(all, p)
		}
	}
	return all
}

// owned waits until the living processes own all schedules.
func (s *scene) owned(ctx context.Context) error {
	held := 0
	err := measure.Poll(ctx, patience, func() (bool, error) {
		held = 0
		for _, p := range s.living() {
			a, err := p.Ask("look")
			if err != nil {
				return false, err
			}
			held += a.Held
		}
		if held >= s.options.Schedules {
			return true, nil
		}
		return false, measure.Pause(ctx, lookEvery) // looking is not free
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%d of %d schedules are owned after %v", held, s.options.Schedules, patience)
	}
	return err
}

const lookEvery = 50 * time.Millisecond

// audit drains all processes that are left, and checks what all have fired.
func (s *scene) audit(session time.Duration, begin time.Duration, troubles ...fired.Trouble) (f fired.Findings, err error) {
	a := fired.Audit{
		Session: session, Unsaved: unsaved, Within: within, Zero: wallAtZero(), Begin: begin, End: journal.Monotonic(), Changes: s.changes, Troubles: troubles,
	}
	for _, p := range s.living() {
		_, failed := p.Ask("drain")
		err = errors.Join(err, failed)
	}
	for _, p := range s.processes {
		all, failed := fired.Notes(s.notes(p)).More()
		a.Add(p.name, all)
		err = errors.Join(err, failed)
	}
	return a.Run(), err
}

const (
	// unsaved is what was fired at most before a kill, and is fired again: checkpoints are stored within a second.
	unsaved = 2 * time.Second
	// within is how soon a change has to be in force.
	within = 5 * time.Second
)

// wallAtZero is the wall-clock time since the epoch at which the clock of journals was 0.
func wallAtZero() time.Duration {
	return time.Duration(time.Now().UnixNano()) - journal.Monotonic()
}

func (s *scene) close() (err error) {
	for _, p := range s.living() {
		_ = p.Kill() // nothing needs to be handed back
	}
	if s.dir != "" {
		err = os.RemoveAll(s.dir)
	}
	return errors.Join(err, s.target.Close())
}
