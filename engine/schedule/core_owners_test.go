package schedule

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
)

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

func TestCheckpointOfSomethingElse(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		l := w.own("a", leasetest.WithCheckpoint("1700000000000-5"))
		ended, err := w.isEnded(l)
		require.True(t, ended)
		require.ErrorContains(t, err, `schedule "a"`)
	})
}
