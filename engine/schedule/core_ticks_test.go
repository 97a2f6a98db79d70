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

// A lease of which nothing remains fires nothing, even before anybody says that it was lost.
func TestNothingIsFiredWithoutALease(t *testing.T) {
	bubble(t, Config{}, func(w *world) {
		w.put(aligned("a", time.Second))
		w.own("a", leasetest.WithTTL(2500*time.Millisecond))
		w.pass(10 * time.Second)
		require.Len(t, w.ticks(), 2)
	})
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
