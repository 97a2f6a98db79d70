package lease

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

func TestDeadlineOnceFoundPastStaysPast(t *testing.T) {
	var d deadline
	d.at.Store(100)
	require.EqualValues(t, 1, d.remaining(99))
	require.True(t, d.extend(99, 200))
	require.EqualValues(t, 101, d.remaining(99))
	require.Zero(t, d.remaining(200), "at the deadline it is past")
	require.False(t, d.extend(50, 300), "also for a clock that reads less")
	require.Zero(t, d.remaining(1))
	require.Zero(t, d.load())
	d.lower(5)
	require.Zero(t, d.load())
}

func TestDeadlineIsNotExtendedByALateAnswer(t *testing.T) {
	var d deadline
	d.at.Store(100)
	require.False(t, d.extend(100, 200), "nobody has looked, but it is past")
	require.Zero(t, d.remaining(10))
}

func TestDeadlineMovesOnlyWhereItIsSent(t *testing.T) {
	var d deadline
	d.at.Store(100)
	require.True(t, d.extend(10, 50), "an earlier point is a success that changes nothing")
	require.EqualValues(t, 100, d.load())
	d.lower(150)
	require.EqualValues(t, 100, d.load())
	d.lower(60)
	require.EqualValues(t, 60, d.load())
	d.lower(-7)
	require.EqualValues(t, 1, d.load(), "past, but not yet found past")
	require.Zero(t, d.remaining(1))
	d.at.Store(100)
	d.end()
	require.Zero(t, d.remaining(1))
}

// However looks, extensions and caps follow each other, what was once past stays so, and what remains is never more than
// the last extension gave.
func TestDeadlineAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, at, past := int64(1), rapid.Int64Range(2, 100).Draw(t, "at"), false
		var d deadline
		d.at.Store(at)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now += rapid.Int64Range(0, 20).Draw(t, "pass")
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				past = past || now >= at
				want := max(at-now, 0)
				if past {
					want = 0
				}
				require.EqualValues(t, want, d.remaining(now))
			case 1:
				to := now + rapid.Int64Range(-30, 60).Draw(t, "to")
				past = past || now >= at
				require.Equal(t, !past, d.extend(now, to))
				at = max(at, to)
			case 2:
				to := now + rapid.Int64Range(-30, 60).Draw(t, "lower")
				d.lower(to)
				at = min(at, max(to, 1))
			case 3:
				if rapid.IntRange(0, 9).Draw(t, "end") == 0 {
					d.end()
					past = true
				}
			}
		}
	})
}

// Trace: one goroutine asks Remaining and gets 0, another one's renewal answers in the same instant. Whoever got
// that it is over must stay right.
func TestDeadlineToldPastIsNeverExtendedByAnother(t *testing.T) {
	for range 2000 {
		var d deadline
		d.at.Store(100)
		var told atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			if d.remaining(100) == 0 {
				told.Store(true)
			}
		})
		wg.Go(func() {
			after := told.Load()
			if d.extend(99, 1000) && after {
				t.Error("extended after somebody was told that it is past")
			}
		})
		wg.Wait()
		if told.Load() {
			require.Zero(t, d.remaining(99))
		}
	}
}

func TestClockCountsOnTheMonotonicAxis(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		c := NewClock()
		require.EqualValues(t, 1, c.Now(), "0 means past, so the axis begins above it")
		time.Sleep(time.Minute)
		require.EqualValues(t, time.Minute+1, c.Now())
	})
}

func TestSessionEndsForGood(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		c := NewClock()
		s := NewSession(t.Context(), c, 3, alice, c.Now(), 8*time.Second)
		require.Equal(t, 3, s.Partition())
		require.Equal(t, alice, s.Consumer())
		require.Equal(t, 8*time.Second, s.Remaining())
		time.Sleep(time.Second)
		sent := c.Now()
		time.Sleep(time.Second)
		require.True(t, s.Extend(sent, 8*time.Second), "counted from when it was sent")
		require.Equal(t, 7*time.Second, s.Remaining())
		require.Equal(t, sent+int64(8*time.Second), s.Until())
		sent = c.Now()
		time.Sleep(8 * time.Second)
		require.False(t, s.Extend(sent+int64(7*time.Second), 8*time.Second), "the answer came after the deadline")
		require.Zero(t, s.Remaining())
		require.Zero(t, s.Until())
		require.NoError(t, s.Context().Err(), "it is ended by whoever sees to what hangs on it")
		s.End()
		s.End()
		require.ErrorIs(t, context.Cause(s.Context()), api.ErrSessionLost)
	})
}
