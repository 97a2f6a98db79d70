package ticking

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/schedule/internal/timing"
)

const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute

	start = 1_790_000_000_000 // born then; a multiple of 10 s
)

// every returns terms whose ticks are multiples of an interval.
func every(ms int64) Terms { return Terms{Timing: timing.NewEvery(ms, 0, 0, 0), Name: "x"} }

// run wakes a schedule until a time, as its owner would, and returns the ticks that it begins, each of which takes no time.
func run(s *Schedule, from, to int64) (begun []Begin) {
	at := from
	for {
		st := s.Wake(at)
		if st.Begin != nil {
			begun = append(begun, *st.Begin)
			s.End(true)
			continue
		}
		if st.WakeAt == 0 || st.WakeAt > to {
			return begun
		}
		at = max(at, st.WakeAt)
	}
}

// first returns the next multiple of ms after a time.
func first(ms, after int64) int64 { return (after/ms + 1) * ms }

func TestTicksAreOnTheGrid(t *testing.T) {
	s := New(every(minute), start, false, 0, Done{})
	begun := run(s, start, start+5*minute)
	require.Len(t, begun, 5)
	for i, b := range begun {
		require.Equal(t, Begin{At: first(minute, start) + int64(i)*minute, Number: uint64(i + 1)}, b)
	}
}

func TestFirstTickIsSoon(t *testing.T) {
	terms := every(22 * hour)
	terms.Soon = true
	soon := start + timing.Spread("x", 10*second)
	s := New(terms, start, false, 0, Done{})
	st := s.Wake(start)
	require.Nil(t, st.Begin)
	require.Equal(t, soon, st.WakeAt)
	begun := run(s, start, start+22*hour)
	require.Equal(t, []int64{soon, first(22*hour, start)}, []int64{begun[0].At, begun[1].At})

	// Another owner fires the same tick, if it was not stored.
	again := New(terms, start, false, 0, Done{})
	require.Equal(t, begun[0], run(again, start, start+10*second)[0])
}

// The latest tick of an outage is fired, and says how many others there were.
func TestLatestOfTheMissed(t *testing.T) {
	s := New(every(minute), start, false, 0, Done{Last: start, Number: 7})
	now := int64(start + hour + 20*second)
	st := s.Wake(now)
	require.Nil(t, st.Begin, "spread, or a fleet that comes back fires all at once")
	require.LessOrEqual(t, st.WakeAt, now+10*second)
	require.Equal(t, 59, st.Missed)
	st = s.Wake(st.WakeAt)
	require.Equal(t, Begin{At: now / minute * minute, Number: 8, Missed: 59}, *st.Begin)
	require.Equal(t, Done{Last: now / minute * minute, Number: 8}, s.End(true))
}

func TestSkipFiresNoneOfTheMissed(t *testing.T) {
	terms := every(minute)
	terms.Skip = true
	s := New(terms, start, false, 0, Done{Last: start})
	st := s.Wake(start + hour + 20*second)
	require.Nil(t, st.Begin)
	require.Equal(t, 60, st.Missed)
	st = s.Wake(st.WakeAt)
	require.Equal(t, 60, st.Begin.Missed)
	require.Equal(t, first(minute, start+hour+20*second), st.Begin.At)

	// A hand-over takes less than a second, and what became due in it is fired.
	s = New(terms, start, false, 0, Done{Last: start})
	require.NotNil(t, s.Wake(first(minute, start)+900).Begin)
}

func TestWindow(t *testing.T) {
	terms := every(hour)
	terms.Window = 5 * minute
	due := first(hour, start)
	s := New(terms, start, false, 0, Done{Last: start})
	st := s.Wake(due + 4*minute)
	require.NotNil(t, s.Wake(st.WakeAt).Begin)

	s = New(terms, start, false, 0, Done{Last: start})
	st = s.Wake(due + hour + 6*minute)
	require.Nil(t, st.Begin)
	require.Equal(t, Counts{Missed: 1, TooLate: 1}, st.Counts)
	require.Equal(t, due+2*hour, st.WakeAt)
	require.Equal(t, 2, s.Wake(st.WakeAt).Begin.Missed)

	daily, err := timing.NewCron("0 3 * * *", "", 0, 0)
	require.NoError(t, err)
	s = New(Terms{Timing: daily, Name: "x"}, start, false, 0, Done{Last: start})
	at, _ := daily.Next(start)
	st = s.Wake(at + 24*hour - 2*minute)
	require.NotNil(t, s.Wake(st.WakeAt).Begin, "a day is the default for cron")
}

func TestOverlapIsSkippedAndCounted(t *testing.T) {
	s := New(every(second), start, false, 0, Done{Last: start})
	st := s.Wake(start + second)
	require.NotNil(t, st.Begin)
	for i := int64(2); i < 5; i++ {
		st = s.Wake(start + i*second)
		require.Nil(t, st.Begin)
		require.Equal(t, Counts{Overlapped: 1}, st.Counts)
	}
	require.Equal(t, Done{Last: start + 4*second, Number: 1, Missed: 3}, s.End(true), "what was skipped is not missed once more by the next owner")
	st = s.Wake(start + 5*second)
	require.Equal(t, Begin{At: start + 5*second, Number: 2, Missed: 3}, *st.Begin)
}

// What was not done is fired by the next owner, under the same identity.
func TestLostTickIsFiredAgain(t *testing.T) {
	s := New(every(minute), start, false, 0, Done{Last: start, Number: 3})
	due := first(minute, start)
	b := *s.Wake(due).Begin
	done := s.End(false)
	require.Equal(t, Done{Last: start, Number: 3}, done)
	next := New(every(minute), start, false, 0, done)
	st := next.Wake(due + 12*second)
	require.Equal(t, b, *next.Wake(st.WakeAt).Begin)
}

// An edit from 22 h to 1 min counts nothing as missed, and one from 22 h to 24 h leaves no gap of 45 h.
func TestEdit(t *testing.T) {
	last := first(22*hour, start)
	s := New(every(22*hour), start, false, 0, Done{Last: last, Number: 1})
	now := last + 10*hour + second
	s.Wake(now)
	s.Edit(every(minute), now, false, 0)
	st := s.Wake(now)
	require.Nil(t, st.Begin)
	require.Equal(t, first(minute, now), st.WakeAt)
	require.Zero(t, s.Wake(st.WakeAt).Begin.Missed)

	s = New(every(22*hour), start, false, 0, Done{Last: last, Number: 1})
	s.Wake(now)
	s.Edit(every(24*hour), now, false, 0)
	require.Equal(t, min(last+24*hour, first(24*hour, now)), s.Wake(now).WakeAt)

	// Only something else was edited: nothing moves.
	s = New(every(hour), start, false, 0, Done{Last: start})
	before := s.Wake(start + minute)
	s.Edit(every(hour), start, false, 0)
	require.Equal(t, before, s.Wake(start+minute))
}

func TestEditWhileATickIsAtWork(t *testing.T) {
	terms := every(hour)
	terms.Soon = true
	s := New(terms, start, false, 0, Done{})
	st := s.Wake(start)
	require.NotNil(t, s.Wake(st.WakeAt).Begin)
	other := every(2 * hour)
	other.Soon = true
	s.Edit(other, st.WakeAt+second, false, 0)
	require.Nil(t, s.Wake(st.WakeAt+2*second).Begin)
	s.End(true)
	next := s.Wake(st.WakeAt + 3*second)
	require.Nil(t, next.Begin)
	require.Greater(t, next.WakeAt, st.WakeAt+20*second, "it had its first tick")
}

// Whoever owns a schedule after an edit, the first tick comes an interval after the last one: what a manual tick stores does not move it.
func TestEditThenAManualTickThenAnotherOwner(t *testing.T) {
	last := first(22*hour, start)
	s := New(every(22*hour), start, false, 0, Done{Last: last, Number: 1})
	now := last + 13*hour + second
	s.Wake(now)
	terms := every(24 * hour)
	terms.Timing = timing.NewEvery(24*hour, 11*hour, 0, 0)
	s.Edit(terms, now, false, now*1000)
	at := s.Stepped(now)
	require.True(t, at.Begin.Manual)
	done := s.End(true)
	require.Equal(t, last, done.Last)
	require.Equal(t, s.Wake(now).WakeAt, New(terms, now, false, now*1000, done).Wake(now).WakeAt)
	require.LessOrEqual(t, s.Wake(now).WakeAt, last+24*hour)
}

func TestEditOfFirst(t *testing.T) {
	terms := every(22 * hour)
	s := New(terms, start, false, 0, Done{})
	require.Equal(t, first(22*hour, start), s.Wake(start).WakeAt)
	terms.Soon = true
	s.Edit(terms, start, false, 0)
	require.Equal(t, New(terms, start, false, 0, Done{}).Wake(start).WakeAt, s.Wake(start).WakeAt)
}

func TestPauseMissesNothing(t *testing.T) {
	s := New(every(minute), start, false, 0, Done{Last: start})
	s.Edit(every(minute), start, true, 0)
	require.Equal(t, Step{}, s.Wake(start+hour))
	s.Edit(every(minute), start+hour+second, false, 0)
	st := s.Wake(start + hour + second)
	require.Nil(t, st.Begin)
	require.Zero(t, s.Wake(st.WakeAt).Begin.Missed)

	// One that was about to be fired is not.
	s = New(every(minute), start, false, 0, Done{Last: start})
	st = s.Wake(start + hour)
	s.Edit(every(minute), start, true, 0)
	require.Nil(t, s.Wake(st.WakeAt).Begin)
}

func TestTrigger(t *testing.T) {
	s := New(every(hour), start, false, 0, Done{Last: start, Number: 4})
	now := int64(start + minute)
	s.Edit(every(hour), start, false, now*1000)
	require.Equal(t, Begin{At: now, Number: 5, Manual: true}, *s.Wake(now).Begin)
	done := s.End(true)
	require.Equal(t, Done{Last: start, Number: 5, Triggered: now * 1000}, done)
	require.Nil(t, s.Wake(now).Begin, "once")
	require.Nil(t, New(every(hour), start, false, now*1000, done).Wake(now).Begin, "nor by the next owner")
	require.NotNil(t, New(every(hour), start, false, now*1000, Done{Last: start, Number: 4}).Wake(now).Begin, "unless nobody stored it")

	paused := New(every(hour), start, true, now*1000, Done{Last: start})
	require.True(t, paused.Wake(now).Begin.Manual)

	// While a tick is at work it waits.
	s = New(every(hour), start, false, 0, Done{Last: start})
	require.NotNil(t, s.Wake(first(hour, start)).Begin)
	s.Edit(every(hour), start, false, now*1000)
	require.Nil(t, s.Wake(first(hour, start)).Begin)
	s.End(true)
	require.True(t, s.Wake(first(hour, start)).Begin.Manual)
}

// A manual tick that is done while a missed one waits for its turn does not do that one.
func TestTriggerBesideAMissedTick(t *testing.T) {
	s := New(every(hour), start-3*hour, false, 0, Done{Last: start - 2*hour, Number: 4})
	now := int64(start + minute)
	at := s.Wake(now).WakeAt
	require.Greater(t, at, now)
	s.Edit(every(hour), start-3*hour, false, now*1000)
	require.True(t, s.Wake(now).Begin.Manual)
	next := New(every(hour), start-3*hour, false, now*1000, s.End(true))
	missed := s.Wake(at).Begin
	require.False(t, missed.Manual)
	require.Equal(t, missed.At, next.Wake(next.Wake(now).WakeAt).Begin.At)
}

func TestFirstTickIsNotDoneByAManualOne(t *testing.T) {
	terms := every(hour)
	terms.Soon = true
	s := New(terms, start, false, start*1000, Done{})
	require.True(t, s.Wake(start).Begin.Manual)
	done := s.End(true)
	require.Zero(t, done.Last)
	require.NotEmpty(t, run(New(terms, start, false, start*1000, done), start, start+10*second))
}

// A step of the server's clock back repeats nothing; one forward is an outage.
func TestClockSteps(t *testing.T) {
	s := New(every(10*minute), start, false, 0, Done{})
	begun := run(s, start, start+hour)
	last := begun[len(begun)-1].At
	st := s.Stepped(start + hour - 30*minute)
	require.Nil(t, st.Begin)
	require.Equal(t, last+10*minute, st.WakeAt)

	s = New(every(10*minute), start, false, 0, Done{Last: last, Number: 6})
	s.Wake(last + minute)
	st = s.Stepped(last + 35*minute)
	st = s.Wake(st.WakeAt)
	require.Equal(t, last+30*minute, st.Begin.At)
	require.Equal(t, 2, st.Begin.Missed)
}

// A clock that was a year ahead does not silence a schedule for a year.
func TestClockThatWasFarAhead(t *testing.T) {
	const year = 365 * 24 * hour
	s := New(every(minute), start, false, 0, Done{Last: start + year, Number: 9})
	st := s.Wake(start)
	require.Nil(t, st.Begin)
	st = s.Wake(first(minute, start))
	require.NotNil(t, st.Begin)
	require.Equal(t, first(minute, start), s.End(true).Last)
}

func TestStartAndEnd(t *testing.T) {
	from, until := int64(start+10*minute), int64(start+12*minute)
	terms := Terms{Timing: timing.NewEvery(minute, 0, from, until), Name: "x", Soon: true}
	s := New(terms, start, false, 0, Done{})
	begun := run(s, start, start+hour)
	require.NotEmpty(t, begun)
	for _, b := range begun {
		require.GreaterOrEqual(t, b.At, from)
		require.Less(t, b.At, until)
	}
	require.Zero(t, s.Wake(start+hour).WakeAt)
}
