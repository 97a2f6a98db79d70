package schedule

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
)

func TestEditIsTakenInAndTheTaskStays(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.openAs = func(Owned) (Task, error) { return hooked{w, "a"}, nil }
		w.put(aligned("a", time.Hour))
		l := w.own("a")
		w.put(aligned("a", 2*time.Second))
		w.signal(l)
		require.Equal(t, []string{"a changed to 2s"}, w.noted())
		w.pass(2100 * time.Millisecond)
		fired := w.ticks()
		require.Len(t, fired, 1)
		require.Zero(t, fired[0].Missed)
		require.Equal(t, 2*time.Second, fired[0].Spec.Every)
		require.Len(t, w.opened, 1)

		w.signal(l) // nothing has changed
		require.Empty(t, w.noted())
	})
}

// An edit that comes while a tick is at work waits for its end.
func TestChangedIsNotCalledBesideATick(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.openAs = func(Owned) (Task, error) { return hooked{w, "a"}, nil }
		w.task = func(context.Context, *Tick) error {
			time.Sleep(500 * time.Millisecond)
			hooked{w, "a"}.note("ticked")
			return nil
		}
		w.put(aligned("a", time.Second))
		l := w.own("a")
		w.pass(1100 * time.Millisecond)
		w.put(aligned("a", time.Hour))
		w.signal(l)
		require.Empty(t, w.noted())
		w.pass(time.Second)
		require.Equal(t, []string{"a ticked", "a changed to 1h0m0s"}, w.noted())
	})
}

func TestOwnerPausesResumesAndFiresByHand(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		l := w.own("a")
		w.edit("a", func(r *record.Row) { r.Paused = true })
		w.signal(l)
		w.pass(time.Minute)
		require.Empty(t, w.ticks())
		require.Equal(t, Stats{Schedules: 1, Paused: 1}, w.core.figures.stats())

		w.edit("a", func(r *record.Row) { r.Trigger = w.nowMicro() })
		w.signal(l)
		manual := w.ticks()
		require.Len(t, manual, 1)
		require.True(t, manual[0].Manual)

		w.edit("a", func(r *record.Row) { r.Paused, r.Since = false, time.Now().UnixMilli() })
		w.signal(l)
		w.pass(1100 * time.Millisecond)
		fired := w.ticks()
		require.NotEmpty(t, fired)
		require.Zero(t, fired[0].Missed)
		require.Zero(t, w.core.figures.stats().Paused)
	})
}

// nowMicro is for changes made while the world is locked.
func (w *world) nowMicro() int64 { return time.Now().UnixMicro() }

// One row that cannot be understood keeps no other schedule from ticking, and an edit cures it.
func TestUnreadableRow(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("good", time.Second))
		w.edit("bad", func(r *record.Row) {
			r.Definition = record.Definition{Cron: "0 3 * * *", Zone: "Nowhere/Land"}
		})
		w.own("good")
		bad := w.own("bad")
		w.pass(1100 * time.Millisecond)
		require.Len(t, w.ticks(), 1)
		require.Equal(t, Stats{Schedules: 2, Broken: 1}, w.core.figures.stats())
		ended, _ := w.isEnded(bad)
		require.False(t, ended, "it stays owned: another process would understand no more")

		w.put(aligned("bad", time.Second))
		w.signal(bad)
		w.pass(time.Second)
		require.Len(t, w.ticks(), 2)
		require.Zero(t, w.core.figures.stats().Broken)

		w.edit("bad", func(r *record.Row) { r.Definition = record.Definition{Cron: "never"} })
		w.signal(bad)
		w.pass(time.Second)
		require.Len(t, w.ticks(), 1)
		w.core.Releasing(bad, api.ErrDraining)
		ended, _ = w.isEnded(bad)
		require.True(t, ended)
	})
}

func TestTableThatCannotBeRead(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.failed = errTest
		w.own("a")
		gone := w.own("b")
		w.pass(time.Minute)
		require.Empty(t, w.opened)
		w.core.Releasing(gone, api.ErrDraining)
		ended, err := w.isEnded(gone)
		require.True(t, ended)
		require.NoError(t, err)
		w.mu.Lock()
		w.failed = nil
		w.mu.Unlock()
		w.pass(15 * time.Second)
		require.Len(t, w.opened, 1)
		require.NotEmpty(t, w.ticks())
	})
}

// When signals may not have arrived, rows are read again.
func TestSignalsMissed(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Hour))
		w.own("a")
		w.put(aligned("a", time.Second))
		w.core.SignalsMissed(0)
		w.pass(1100 * time.Millisecond)
		require.Len(t, w.ticks(), 1)
	})
}

// Where no signal arrives at all, rows are read again all the same.
func TestRowsAreReadAgainWithoutSignals(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		names := make([]string, 1000)
		for i := range names {
			names[i] = fmt.Sprint("s", i)
			w.put(aligned(names[i], time.Hour))
			w.core.Added(leasetest.New(names[i]))
		}
		w.pass(time.Second)
		for _, name := range names {
			w.remove(name)
		}
		w.pass(sweepRound / 2)
		require.NotZero(t, w.core.figures.stats().Schedules)
		w.pass(sweepRound * 3 / 2)
		require.Zero(t, w.core.figures.stats().Schedules)
	})
}

// stuck is a task whose Changed does not return before it is released.
type stuck struct {
	hooked
	release chan struct{}
}

func (s stuck) Changed(*Spec) { <-s.release }

// Tasks that hang while they hear of an edit hold up no tick, and nobody who takes a schedule or hands one back.
func TestHangingChangesHoldUpNothingElse(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		release := make(chan struct{})
		w.openAs = func(o Owned) (Task, error) { return stuck{hooked{w, o.Spec.Name}, release}, nil }
		const many = hookWorkers + 10
		for i := range many {
			name := fmt.Sprint("edited-", i)
			w.put(aligned(name, time.Hour))
			l := w.own(name)
			w.put(aligned(name, 2*time.Hour))
			w.signal(l)
		}
		w.pass(time.Second)
		w.put(aligned("a", time.Second))
		a := w.own("a")
		w.pass(2 * time.Second)
		require.NotEmpty(t, w.ticks())
		w.core.Releasing(a, api.ErrDraining)
		w.pass(time.Second)
		ended, err := w.isEnded(a)
		require.True(t, ended)
		require.NoError(t, err)
		close(release)
	})
}
