package firing

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// within is how soon a change has to be in force. A schedule is left alone for longer than that.
	within, leftAlone = 5 * time.Second, 8 * time.Second
	// begins is how long the editor waits before the first change.
	begins = 3 * time.Second
	// retryAfter is how long the editor waits after a call that failed.
	retryAfter = 200 * time.Millisecond
)

// editor changes schedules, and knows what each of them is meant to be. One goroutine uses it.
type editor struct {
	table   *schedule.Table
	storm   *storm.Storm
	session time.Duration
	rnd     *rand.Rand
	states  []state
	changes [][]fired.Change // by schedule
	made    map[string]int
	retried int
	crashes int // of which it has repaired what servers forgot
	repairs []time.Duration
}

func newEditor(table *schedule.Table, storm *storm.Storm, o Options) *editor {
	e := &editor{table: table, storm: storm, session: o.SessionTTL, rnd: o.Rand(1 << 33), made: make(map[string]int),
		states: make([]state, o.Schedules), changes: make([][]fired.Change, o.Schedules)}
	for i := range e.states {
		e.states[i] = state{number: i, generation: 1}
	}
	return e
}

// call calls until it succeeds.
func (e *editor) call(ctx context.Context, do func(context.Context) error) error {
	for end := time.Now().Add(patience); ; {
		within, cancel := context.WithTimeout(ctx, max(e.session, time.Second))
		err := do(within)
		cancel()
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		e.retried++
		_ = measure.Pause(ctx, retryAfter)
	}
}

// present are the specs of all schedules that are meant to be there.
func (e *editor) present() iter.Seq[schedule.Spec] {
	return func(yield func(schedule.Spec) bool) {
		for i := range e.states {
			if s := &e.states[i]; !s.absent && !yield(s.spec()) {
				return
			}
		}
	}
}

// populate puts all schedules.
func (e *editor) populate(ctx context.Context) error {
	from := journal.Monotonic()
	err := e.call(ctx, func(ctx context.Context) error {
		_, err := e.table.Sync(ctx, e.present())
		return err
	})
	for i := range e.states {
		s := &e.states[i]
		e.changes[i] = []fired.Change{{What: fired.Create, Generation: 1, From: from, Until: journal.Monotonic(), Grid: s.grid()}}
	}
	return err
}

// run changes schedules at random, so many a second on average, until ctx ends. What it has begun it finishes.
func (e *editor) run(ctx context.Context, rate float64) error {
	whole := context.WithoutCancel(ctx)
	_ = measure.Pause(ctx, begins)
	for measure.Pause(ctx, time.Duration(e.rnd.ExpFloat64()/rate*float64(time.Second))) == nil {
		if err := e.repair(whole); err != nil {
			return fmt.Errorf("repairing what servers forgot: %w", err)
		}
		s := &e.states[e.rnd.IntN(len(e.states))]
		if s.changed > 0 && s.changed+leftAlone > journal.Monotonic() {
			continue
		}
		if err := e.change(whole, s, e.choose(s)); err != nil {
			return err
		}
	}
	return nil
}

// choose chooses what is done to a schedule next: what was begun is taken back.
func (e *editor) choose(s *state) fired.What {
	switch {
	case s.absent:
		return fired.Create
	case s.paused:
		return fired.Resume
	}
	all := []fired.What{fired.Retime, fired.Reword, fired.Pause, fired.Trigger, fired.Remove}
	return all[e.rnd.IntN(len(all))]
}

func (e *editor) change(ctx context.Context, s *state, what fired.What) error {
	next := *s
	switch what {
	case fired.Retime:
		next.other, next.generation = !s.other, s.generation+1
	case fired.Reword:
		next.generation++
	case fired.Create:
		next.absent, next.paused, next.generation = false, false, s.generation+1
	case fired.Remove:
		next.absent, next.paused, next.generation = true, false, s.generation+1
	case fired.Pause:
		next.paused = true
	case fired.Resume:
		next.paused = false
	}
	c := fired.Change{What: what, Generation: next.generation, From: journal.Monotonic(), Grid: next.grid()}
	if next.absent {
		c.Grid = fired.Grid{}
	}
	if err := e.call(ctx, func(ctx context.Context) error { return e.apply(ctx, &next, what) }); err != nil {
		return fmt.Errorf("schedule %d: it was to be %s: %w", s.number, what, err)
	}
	c.Until = journal.Monotonic()
	next.changed = c.Until
	*s = next
	e.changes[s.number] = append(e.changes[s.number], c)
	e.made[string(what)]++
	return nil
}

func (e *editor) apply(ctx context.Context, s *state, what fired.What) error {
	n := name(s.number)
	var err error
	switch what {
	case fired.Remove:
		_, err = e.table.Delete(ctx, []string{n})
	case fired.Pause:
		err = e.table.Pause(ctx, "soak", n)
	case fired.Resume:
		err = e.table.Resume(ctx, n)
	case fired.Trigger:
		err = e.table.Trigger(ctx, n)
	default:
		return e.put(ctx, s)
	}
	if errors.Is(err, schedule.ErrNoSchedule) { // a server has forgotten it
		err = errors.Join(err, e.put(ctx, s))
	}
	return err
}

func (e *editor) put(ctx context.Context, s *state) error {
	results, err := e.table.Put(ctx, s.spec())
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	return err
}

// repair makes the table again what it is meant to be, if a server was killed since the last time: its replica may have forgotten the latest
// changes.
func (e *editor) repair(ctx context.Context) error {
	crashes := 0
	for _, t := range e.storm.Struck() {
		if t.Name == storm.Crashed && t.Until < journal.Monotonic() {
			crashes++
		}
	}
	if crashes == e.crashes {
		return nil
	}
	e.crashes = crashes
	return e.restore(ctx)
}

// restore makes the table what it is meant to be.
func (e *editor) restore(ctx context.Context) error {
	var absent, paused, resumed []string
	for i := range e.states {
		switch s := &e.states[i]; {
		case s.absent:
			absent = append(absent, name(s.number))
		case s.paused:
			paused = append(paused, name(s.number))
		default:
			resumed = append(resumed, name(s.number))
		}
	}
	err := e.call(ctx, func(ctx context.Context) error {
		_, err := e.table.Sync(ctx, e.present())
		if err == nil && len(absent) > 0 {
			_, err = e.table.Delete(ctx, absent)
		}
		if err == nil && len(paused) > 0 {
			err = e.table.Pause(ctx, "soak", paused...)
		}
		if err == nil && len(resumed) > 0 {
			err = e.table.Resume(ctx, resumed...)
		}
		return err
	})
	e.repairs = append(e.repairs, journal.Monotonic())
	return err
}

// settle resumes what is paused, and puts what is absent.
func (e *editor) settle(ctx context.Context) error {
	for i := range e.states {
		if s := &e.states[i]; s.absent || s.paused {
			if err := measure.Pause(ctx, max(0, s.changed+within-journal.Monotonic())); err != nil {
				return err
			}
			if err := e.change(ctx, s, e.choose(s)); err != nil {
				return err
			}
		}
	}
	return e.restore(ctx)
}

// write writes the changes as text into a folder.
func (e *editor) write(dir string) error {
	var text strings.Builder
	for number, all := range e.changes {
		for _, c := range all {
			fmt.Fprintf(&text, "schedule %d, generation %d, %v to %v: %s, then every %d ms from %d\n", number, c.Generation, c.From, c.Until, c.What, c.Grid.Every, c.Grid.Phase)
		}
	}
	return os.WriteFile(filepath.Join(dir, "changes.txt"), []byte(text.String()), 0o600)
}

// differs says in what the table is not what it is meant to be.
func (e *editor) differs(ctx context.Context) (all []string, err error) {
	seen := make(map[string]bool)
	for status, err := range e.table.List(ctx, schedule.Filter{}) {
		if err != nil {
			return nil, err
		}
		if seen[status.Spec.Name] {
			continue
		}
		seen[status.Spec.Name] = true
		if status.Err != nil || status.Paused || status.DeadLetter {
			all = append(all, fmt.Sprintf("%s: unreadable: %v, paused: %v, dead letter: %v", status.Spec.Name, status.Err, status.Paused, status.DeadLetter))
		}
	}
	for i := range e.states {
		if n := name(i); !seen[n] {
			all = append(all, n+" is not there")
		} else {
			delete(seen, n)
		}
	}
	for n := range seen {
		all = append(all, n+" is there")
	}
	slices.Sort(all)
	return all, nil
}
