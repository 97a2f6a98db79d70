package ticks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/bench/ticks/ticker"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
)

// Changes is how soon changes of schedules were in force that one process owns.
type Changes struct {
	Each int // of each kind
	fired.Findings
}

const (
	// changedEvery is the interval of the schedules that are changed, retimedEvery that of those that get another one.
	changedEvery, retimedEvery = 2 * time.Second, 3 * time.Second
	// changePause is how long it takes at least from one change to the next.
	changePause = 20 * time.Millisecond
)

// kinds are the changes that are made, each of other schedules. A schedule that is put was not there before.
var kinds = []fired.What{fired.Retime, fired.Reword, fired.Trigger, fired.Remove, fired.Create}

// changes changes schedules, one after the other, in turn.
func (b *bench) changes(ctx context.Context) (err error) {
	s, err := stage(ctx, b.o.URL, ticker.Options{Model: ticker.Owned, Schedules: (len(kinds) - 1) * b.o.Changed, SessionTTL: b.o.SessionTTL}, b.report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.journaled(); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.put(ctx, changedEvery); err != nil {
		return err
	}
	if err := s.owned(ctx); err != nil {
		return err
	}
	if err := measure.Pause(ctx, changedEvery); err != nil {
		return err
	}
	begin := journal.Monotonic()
	for i := range b.o.Changed * len(kinds) {
		if err := s.change(ctx, kinds[i%len(kinds)], i/len(kinds)); err != nil {
			return fmt.Errorf("%s: %w", kinds[i%len(kinds)], err)
		}
		// At random, since what is in step with beats waits for none, or always for a whole one.
		if err := measure.Pause(ctx, changePause+rand.N(changePause)); err != nil {
			return err
		}
	}
	if err := measure.Pause(ctx, within+retimedEvery); err != nil {
		return err
	}
	c := &Changes{Each: b.o.Changed}
	c.Findings, err = s.audit(cmp.Or(b.o.SessionTTL, engine.DefaultSessionTTL), begin)
	b.result.Changes = c
	b.steps.Done()
	return err
}

// change makes the change number i of a kind.
func (s *scene) change(ctx context.Context, what fired.What, i int) (err error) {
	number := i*(len(kinds)-1) + kindOf(what)
	if what == fired.Create {
		number = len(s.changes) // one that was not there
		s.changes = append(s.changes, nil)
	}
	c := fired.Change{What: what, Generation: 2, From: journal.Monotonic()}
	spec := s.spec(number, changedEvery)
	switch what {
	case fired.Create:
		c.Generation = 1
	case fired.Retime:
		spec.Every = retimedEvery
	case fired.Trigger:
		c.Generation = 1
	}
	spec.Info = ticker.Info{Generation: c.Generation}
	c.Grid = fired.NamedGrid(spec.Name, spec.Every)
	switch what {
	case fired.Trigger:
		err = s.table.Trigger(ctx, spec.Name)
	case fired.Remove:
		c.Grid = fired.Grid{}
		_, err = s.table.Delete(ctx, []string{spec.Name})
	default:
		results, failed := s.table.Put(ctx, spec)
		err = failed
		for _, r := range results {
			err = errors.Join(err, r.Err)
		}
	}
	c.Until = journal.Monotonic()
	s.changes[number] = append(s.changes[number], c)
	return err
}

func kindOf(what fired.What) int {
	for i, w := range kinds {
		if w == what {
			return i
		}
	}
	return 0
}
