package scan_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

func (f *fleet) turnover(window time.Duration) scan.Turnover {
	f.t.Helper()
	found, err := f.inspector().Turnover(f.ctx, window)
	require.NoError(f.t, err)
	return found
}

// A deploy in three partitions: b has taken streams over time, a holds what it held, c was killed, and what is only read is not taken.
func TestTurnover(t *testing.T) {
	f := newFleet(t, 3)
	found := f.turnover(time.Hour)
	require.Empty(t, found.Processes)
	require.True(t, found.Whole)
	const podC = "pod-c.ABCDEFGHIJKL"
	held := func(p int, consumer string, ages ...time.Duration) {
		f.open(p, consumer)
		for range ages {
			f.announce(p, "stream-"+strconv.Itoa(int(f.Num("INCR", "n"))))
		}
		entries := f.read(p, consumer, len(ages))
		f.take(p, consumer, entries...)
		for n, e := range entries {
			f.Do("XCLAIM", f.layout.Keys(p).Input, f.layout.Group(), consumer, "0", e.ID, "IDLE", strconv.FormatInt(ages[n].Milliseconds(), 10),
				"RETRYCOUNT", strconv.Itoa(lease.HeldDeliveries), "JUSTID")
		}
	}
	const m = time.Minute
	held(0, podA, 500*m, 90*m, 61*m)
	held(0, podB, 59*m, 31*m, 31*m)
	held(1, podB+"-2", 15*m, 0)
	held(2, podB, 31*m)
	held(2, podC, 45*m, 500*m)
	f.setDeadline(2, podC, 1)
	f.announce(2, "only read")
	f.read(2, podA, 1)

	found = f.turnover(time.Hour)
	require.True(t, found.Whole)
	require.WithinDuration(t, time.UnixMilli(f.Now()), found.At, time.Minute)
	require.Equal(t, 2*time.Minute, found.Step)
	want := make([]int, 30)
	for _, age := range []time.Duration{59, 31, 31, 31, 45, 15} {
		want[(60-age)/2]++ // a moment has passed: odd ages stay in their step
	}
	want[29]++
	require.Equal(t, want, found.Steps)
	require.Len(t, found.Processes, 3)
	b := found.Processes[1]
	require.WithinDuration(t, found.At.Add(-59*m), b.First, m)
	require.WithinDuration(t, found.At, b.Last, m)
	for n := range found.Processes {
		if n != 1 {
			require.Equal(t, found.Processes[n].First, found.Processes[n].Last)
		}
		found.Processes[n].First, found.Processes[n].Last = time.Time{}, time.Time{}
	}
	require.Equal(t, []scan.Taken{
		{Name: podA, ConsumerID: "pod-a", Held: 3, Alive: true},
		{Name: podB, ConsumerID: "pod-b", Held: 6, Taken: 6, Alive: true},
		{Name: podC, ConsumerID: "pod-c", Held: 2, Taken: 1},
	}, found.Processes)

	f.Do("DEL", f.layout.Keys(1).Input)
	f.Do("SET", f.layout.Keys(1).Input, "a string")
	found, err := f.inspector().Turnover(f.ctx, time.Hour)
	require.ErrorContains(t, err, "what is pending in partition 1")
	require.False(t, found.Whole)
	require.Equal(t, 4, found.Processes[1].Held)
	for _, window := range []time.Duration{0, -time.Hour, time.Millisecond, 31 * 24 * time.Hour} {
		_, err := f.inspector().Turnover(f.ctx, window)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
	}
}
