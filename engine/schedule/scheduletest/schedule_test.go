package scheduletest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/schedule"
)

var start = time.Date(2026, 3, 2, 10, 17, 3, 0, time.UTC)

func nothing(context.Context, *schedule.Tick) error { return nil }

func opens(task schedule.Task) func(schedule.Owned) (schedule.Task, error) {
	return func(schedule.Owned) (schedule.Task, error) { return task, nil }
}

func newSchedule(t *testing.T, spec schedule.Spec) *Schedule {
	t.Helper()
	spec.Name = "x"
	s, err := New(spec, opens(schedule.TaskFunc(nothing)), start)
	require.NoError(t, err)
	return s
}

func TestSpecThatPutRefuses(t *testing.T) {
	_, err := New(schedule.Spec{Name: "x"}, opens(schedule.TaskFunc(nothing)), start)
	require.ErrorIs(t, err, schedule.ErrSpec)
	_, err = New(schedule.Spec{Name: "x", Every: time.Second}, func(schedule.Owned) (schedule.Task, error) { return nil, nil }, start)
	require.Error(t, err)
}

func TestOverlapTakesTime(t *testing.T) {
	s := newSchedule(t, schedule.Spec{Every: time.Second, First: schedule.OnGrid})
	s.Takes = func(*schedule.Tick) time.Duration { return 2500 * time.Millisecond }
	s.Run(30 * time.Second)
	overlapped, missed, _ := s.Skipped()
	require.Equal(t, 30, len(s.Fired())+overlapped)
	require.Zero(t, missed)
	require.Equal(t, 2, s.Fired()[1].Missed)
}

// What was done in the second before a crash is repeated, with the same identity, and a long interval repeats nothing.
func TestKillRepeatsWhatWasNotStored(t *testing.T) {
	s := newSchedule(t, schedule.Spec{Every: 10 * time.Second, Offset: schedule.Aligned, First: schedule.OnGrid})
	s.Run(7*time.Second + 500*time.Millisecond) // a tick 500 ms ago
	require.Len(t, s.Fired(), 1)
	s.Kill()
	s.Run(2 * time.Second)
	require.NoError(t, s.Own())
	s.Run(5 * time.Second)
	require.Len(t, s.Fired(), 2)
	require.Equal(t, s.Fired()[0].ID, s.Fired()[1].ID)

	s = newSchedule(t, schedule.Spec{Every: time.Minute, First: schedule.OnGrid})
	s.Run(30 * time.Second)
	s.Kill()
	require.NoError(t, s.Own())
	s.Run(10 * time.Second)
	require.Len(t, s.Fired(), 1)
}

func TestKillLosesTheTickAtWork(t *testing.T) {
	s := newSchedule(t, schedule.Spec{Every: time.Minute, Offset: schedule.Aligned, First: schedule.OnGrid})
	s.Takes = func(*schedule.Tick) time.Duration { return 5 * time.Second }
	s.Run(58 * time.Second) // 10:18:01
	s.Kill()
	require.False(t, s.Owned())
	s.Run(10 * time.Second)
	require.NoError(t, s.Own())
	s.Run(30 * time.Second)
	require.Len(t, s.Fired(), 2)
	require.True(t, s.Fired()[0].Lost)
	require.Equal(t, s.Fired()[0].ID, s.Fired()[1].ID)
}

type noted struct{ log *[]string }

func (n noted) Tick(context.Context, *schedule.Tick) error { return nil }
func (n noted) Changed(s *schedule.Spec)                   { *n.log = append(*n.log, "changed "+s.Every.String()) }
func (n noted) Stop(cause error) {
	if errors.Is(cause, api.ErrReleasing) {
		*n.log = append(*n.log, "stop")
	}
}

func TestHooksAndEdits(t *testing.T) {
	var log []string
	s, err := New(schedule.Spec{Name: "x", Every: time.Minute}, opens(noted{&log}), start)
	require.NoError(t, err)
	s.Run(time.Hour)
	before := len(s.Fired())
	require.NoError(t, s.Put(schedule.Spec{Every: time.Minute})) // equal
	require.NoError(t, s.Put(schedule.Spec{Every: 10 * time.Minute}))
	require.ErrorIs(t, s.Put(schedule.Spec{}), schedule.ErrSpec)
	s.Run(time.Hour)
	require.InDelta(t, 6, len(s.Fired())-before, 1)
	s.Pause()
	paused := len(s.Fired())
	s.Run(time.Hour)
	require.Len(t, s.Fired(), paused)
	s.Trigger()
	require.True(t, s.Fired()[paused].Manual)
	s.Resume()
	s.Run(11 * time.Minute)
	require.Zero(t, s.Fired()[paused+1].Missed)
	s.HandBack()
	s.HandBack()
	s.Kill()
	require.Equal(t, []string{"changed 10m0s", "stop"}, log)
}

// Thirty days with a deploy each hour and a crash every 9 h: nothing is lost, what is repeated was done in the second before a crash, and a 22 h
// schedule is on time, however often its process is replaced.
func TestThirtyDays(t *testing.T) {
	for name, spec := range map[string]schedule.Spec{
		"1 min":    {Every: time.Minute},
		"10 min":   {Every: 10 * time.Minute},
		"1 h":      {Every: time.Hour},
		"22 h":     {Every: 22 * time.Hour},
		"nightly":  {Cron: "30 2 * * *", Zone: "America/New_York"}, // across the beginning of daylight saving time
		"weekdays": {Cron: "*/20 9-17 * * 1-5", Zone: "Australia/Lord_Howe"},
	} {
		for _, steps := range []time.Duration{0, 30 * time.Second} {
			t.Run(name+", the clock steps by "+steps.String(), func(t *testing.T) { thirtyDays(t, spec, steps) })
		}
	}
}

func thirtyDays(t *testing.T, spec schedule.Spec, steps time.Duration) {
	const hours = 30 * 24
	spec.Name = "x"
	s := newSchedule(t, spec)
	kills := 0
	for hour := range hours {
		s.Run(time.Hour)
		switch {
		case hour%9 == 8:
			kills++
			s.Kill()
			s.Run(11 * time.Second)
		default:
			s.HandBack()
			s.Run(100 * time.Millisecond)
		}
		require.NoError(t, s.Own())
		if steps != 0 && hour%24 == 13 {
			s.StepClock(steps)
			steps = -steps
		}
	}
	s.Run(time.Minute)

	seen := map[string]int{}
	covered, repeats := 0, 0
	for _, f := range s.Fired() {
		if seen[f.ID]++; seen[f.ID] > 1 {
			repeats++
		} else {
			covered += 1 + f.Missed
		}
		if late := f.Began.Sub(f.At); late < 0 || late > 25*time.Second+steps.Abs() {
			require.Fail(t, "out of time", "%s is %s late", f.ID, late)
		}
	}
	expected := dueUntil(t, spec, s.Now())
	soon := 0
	if spec.Every > 0 {
		soon = 1
	}
	require.InDelta(t, expected+soon, covered, 1, "each was fired, or counted by the next")
	require.Zero(t, repeats, "each of them is stored at once")
	t.Logf("%d fired, %d repeated in %d kills", len(s.Fired()), repeats, kills)
}

// dueUntil returns how many ticks a schedule has from start to a time.
func dueUntil(t *testing.T, spec schedule.Spec, end time.Time) (n int) {
	spec.Name = "x"
	for at := start; ; {
		page, err := spec.Next(at, 10_000)
		require.NoError(t, err)
		for _, at = range page {
			if at.After(end) {
				return n
			}
			n++
		}
	}
}

// A schedule of 22 h survives 100 restarts, and is on time.
func TestLongIntervalSurvivesRestarts(t *testing.T) {
	spec := schedule.Spec{Every: 22 * time.Hour, First: schedule.OnGrid}
	s := newSchedule(t, spec)
	for range 100 {
		s.Run(50 * time.Minute)
		s.Kill()
		s.Run(10 * time.Second)
		require.NoError(t, s.Own())
	}
	require.Len(t, s.Fired(), dueUntil(t, spec, s.Now()))
	for _, f := range s.Fired() {
		require.LessOrEqual(t, f.Began.Sub(f.At), 20*time.Second)
	}
}
