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

func aligned(name string, every time.Duration) Spec {
	return Spec{Name: name, Every: every, Offset: Aligned, First: OnGrid}
}

func TestTicksAreFiredOnTime(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.own("a")
		w.pass(10 * time.Second)
		fired := w.ticks()
		require.Len(t, fired, 10)
		for i, f := range fired {
			require.Equal(t, uint64(i+1), f.Number)
			require.Zero(t, f.At.UnixMilli()%1000)
			require.Less(t, f.Late, wheelTick+time.Millisecond)
			require.Zero(t, f.Missed)
		}
		require.Equal(t, Stats{Schedules: 1}, w.core.figures.stats())
	})
}

// What the last owner has done is not repeated, what it saved is there, and its successor counts on.
func TestNextOwnerGoesOn(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.task = func(_ context.Context, tick *Tick) error {
			require.True(t, tick.Save([]byte(tick.ID())))
			return nil
		}
		first := w.own("a")
		w.pass(3500 * time.Millisecond)
		last := w.ticks()[2]
		w.core.Releasing(first, api.ErrDraining)
		ended, err := w.isEnded(first)
		require.True(t, ended)
		require.NoError(t, err)

		w.own("a", leasetest.WithCheckpoint(first.NextCheckpoint()))
		require.Equal(t, last.ID(), string(w.opened[1].State))
		w.pass(time.Second)
		next := w.ticks()
		require.Len(t, next, 1)
		require.Equal(t, last.At.Add(time.Second), next[0].At)
		require.Equal(t, uint64(4), next[0].Number)
	})
}

// A tick that is at work is waited for, and one that has not begun is left to the next owner.
func TestReleasingWaitsForTheTickAtWork(t *testing.T) {
	bubble(t, Config{Workers: 1}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.put(aligned("b", time.Second))
		w.task = func(ctx context.Context, _ *Tick) error {
			time.Sleep(700 * time.Millisecond)
			return ctx.Err()
		}
		a, b := w.own("a"), w.own("b")
		w.pass(1100 * time.Millisecond)
		begun := w.ticks()
		require.Len(t, begun, 1)
		w.core.Releasing(a, api.ErrDraining)
		w.core.Releasing(b, api.ErrDraining)
		ended, _ := w.isEnded(a)
		require.False(t, ended)
		w.pass(time.Second)
		require.Empty(t, w.ticks())
		for _, l := range []*leasetest.Lease{a, b} {
			ended, err := w.isEnded(l)
			require.True(t, ended)
			require.NoError(t, err)
			if l.Stream() == begun[0].Schedule {
				require.NotEmpty(t, l.NextCheckpoint())
			} else {
				require.Empty(t, l.NextCheckpoint())
			}
		}
	})
}

func TestFailureComesAgainOnTheGrid(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.task = func(_ context.Context, tick *Tick) error {
			if tick.Number == 2 {
				panic("for a test")
			}
			tick.Save([]byte("kept by none"))
			return errTest
		}
		l := w.own("a")
		w.pass(3500 * time.Millisecond)
		require.Len(t, w.ticks(), 3)
		saved, err := record.ParseCheckpoint(l.Checkpoint())
		require.NoError(t, err)
		require.Equal(t, uint64(3), saved.Number, "failed ticks count as fired")
		require.Nil(t, saved.State)
	})
}

func TestOverlapIsSkipped(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.task = func(context.Context, *Tick) error {
			time.Sleep(2500 * time.Millisecond)
			return nil
		}
		w.own("a")
		w.pass(7100 * time.Millisecond)
		fired := w.ticks()
		require.Len(t, fired, 3)
		require.Equal(t, []int{0, 2, 2}, []int{fired[0].Missed, fired[1].Missed, fired[2].Missed})
	})
}

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

func TestDeletedScheduleIsDone(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.openAs = func(Owned) (Task, error) { return hooked{w, "a"}, nil }
		w.put(aligned("a", time.Second))
		l := w.own("a")
		w.pass(1100 * time.Millisecond)
		w.remove("a")
		w.signal(l)
		ended, err := w.isEnded(l)
		require.True(t, ended)
		require.NoError(t, err)
		require.Equal(t, leasetest.Done, l.Outcome().State)
		require.Empty(t, l.NextCheckpoint(), "it goes with its schedule")
		require.Equal(t, []string{"a stop: schedule: deleted"}, w.noted())
		w.ticks()
		w.pass(5 * time.Second)
		require.Empty(t, w.ticks())
	})
}

// A leftover announcement of a schedule that was deleted is done, whoever gets it.
func TestLeftoverAnnouncementIsDone(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		l := w.own("a", leasetest.WithCheckpoint((&record.Checkpoint{Born: 5, Last: 6, Number: 1}).Encode()))
		require.Equal(t, leasetest.Done, l.Outcome().State)
		require.Empty(t, l.NextCheckpoint())
		require.Empty(t, w.opened)
	})
}

// Deleted and put again before its owner heard of it, a schedule is another one: the owner makes way for its announcement, and nothing of
// the old one is kept.
func TestOtherIncarnation(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		l := w.own("a")
		w.pass(1100 * time.Millisecond)
		w.remove("a")
		w.put(aligned("a", time.Second))
		w.core.Superseded(l)
		ended, _ := w.isEnded(l)
		require.True(t, ended)
		require.Equal(t, leasetest.Done, l.Outcome().State)
		require.Empty(t, l.NextCheckpoint())

		// The checkpoint of an earlier incarnation is not the one of this, if it is there all the same.
		old := &record.Checkpoint{Born: 5, Last: time.Now().UnixMilli(), Number: 9, State: []byte("old")}
		w.own("a", leasetest.WithCheckpoint(old.Encode()))
		require.Nil(t, w.opened[1].State)
		w.ticks()
		w.pass(time.Second)
		require.Equal(t, uint64(1), w.ticks()[0].Number)
	})
}

// Announced twice, a schedule goes on with the newer announcement, from where it stopped.
func TestSupersededMakesWayAndKeepsTheCheckpoint(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.openAs = func(Owned) (Task, error) { return hooked{w, "a"}, nil }
		w.put(aligned("a", time.Second))
		l := w.own("a")
		w.pass(1100 * time.Millisecond)
		w.core.Superseded(l)
		ended, _ := w.isEnded(l)
		require.True(t, ended)
		require.Equal(t, leasetest.Done, l.Outcome().State)
		require.NotEmpty(t, l.NextCheckpoint())
		require.Equal(t, []string{"a stop: schedule: announced again"}, w.noted())
	})
}

func TestLostScheduleStoresNothing(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.openAs = func(Owned) (Task, error) { return hooked{w, "a"}, nil }
		w.task = func(ctx context.Context, _ *Tick) error {
			<-ctx.Done()
			return ctx.Err()
		}
		w.put(aligned("a", time.Second))
		l := w.own("a")
		w.pass(1100 * time.Millisecond)
		l.Lose(api.ErrLeaseLost)
		w.core.Disowned(l, api.ErrLeaseLost)
		ended, _ := w.isEnded(l)
		require.True(t, ended)
		require.Empty(t, l.NextCheckpoint())
		require.Len(t, w.noted(), 1)
		w.ticks()
		w.pass(5 * time.Second)
		require.Empty(t, w.ticks())
	})
}

// A lease of which nothing remains fires nothing, even before anybody says that it was lost.
func TestNothingIsFiredWithoutALease(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.own("a", leasetest.WithTTL(2500*time.Millisecond))
		w.pass(10 * time.Second)
		require.Len(t, w.ticks(), 2)
	})
}

func TestOpenThatFails(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		for name, open := range map[string]func(Owned) (Task, error){
			"error": func(Owned) (Task, error) { return nil, errTest },
			"panic": func(Owned) (Task, error) { panic("for a test") },
			"nil":   func(Owned) (Task, error) { return nil, nil },
		} {
			w.openAs = open
			w.put(aligned(name, time.Second))
			l := w.own(name)
			ended, err := w.isEnded(l)
			require.True(t, ended, name)
			require.Error(t, err, name)
		}
		require.Zero(t, w.core.figures.stats().Schedules)
	})
}

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

func TestCheckpointOfSomethingElse(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		l := w.own("a", leasetest.WithCheckpoint("1700000000000-5"))
		ended, err := w.isEnded(l)
		require.True(t, ended)
		require.ErrorContains(t, err, `schedule "a"`)
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

// Ticks follow the server's clock, not that of this process.
func TestClockOfTheServer(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.step(12*time.Hour + 300*time.Millisecond)
		w.put(aligned("a", time.Second))
		w.own("a")
		w.pass(5 * time.Second)
		fired := w.ticks()
		require.Len(t, fired, 5)
		require.Equal(t, w.now().Truncate(time.Second), fired[4].At.Local())

		w.step(-30 * time.Second)
		w.pass(time.Second) // beats answer the time once a second
		w.ticks()
		w.pass(28 * time.Second)
		require.Empty(t, w.ticks(), "nothing is fired at or before the last one")
		w.pass(5 * time.Second)
		require.NotEmpty(t, w.ticks())

		w.step(time.Hour)
		w.pass(3 * time.Second)
		missed := 0
		for _, f := range w.ticks() {
			missed = max(missed, f.Missed)
		}
		require.Greater(t, missed, 3500)
	})
}

// What is owned before the server's clock is known ticks as soon as it is.
func TestClockIsNotKnownYet(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.mu.Lock()
		w.timeless = true
		w.mu.Unlock()
		w.core.times.parts[0].known.Store(false)
		w.put(aligned("a", time.Second))
		w.own("a")
		w.pass(1800 * time.Millisecond)
		require.Empty(t, w.ticks())
		w.mu.Lock()
		w.timeless = false
		w.mu.Unlock()
		w.pass(3 * timesSoon)
		require.NotEmpty(t, w.ticks())
	})
}

func (w *world) step(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

// The checkpoint of a long interval is stored at once, and a tick waits for that no longer than a call may take.
func TestLongIntervalsAreStoredAtOnce(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Minute))
		l := w.own("a")
		l.RefuseCheckpoints(api.ErrNoCheckpoints)
		w.pass(2*time.Minute + time.Second)
		require.Len(t, w.ticks(), 2)
	})
}
