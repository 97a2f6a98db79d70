package ticking

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/engine/schedule/internal/timing"
)

// However time passes, ticks take and owners change, each time of the grid is fired or counted as missed by a later tick, none is fired twice unless
// its owner was lost, and none is early.
func TestEveryTickIsFiredOrCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.SampledFrom([]int64{100, second, 15 * second, minute, hour}).Draw(t, "every")
		terms := Terms{Timing: timing.NewEvery(interval, rapid.Int64Range(0, interval-1).Draw(t, "phase"), 0, 0), Name: "x"}
		terms.Skip = rapid.Bool().Draw(t, "skip")
		terms.Window = rapid.SampledFrom([]int64{0, second, interval * 3}).Draw(t, "window")
		s := New(terms, start, false, 0, Done{Last: start})
		now, last, done := int64(start), int64(start), Done{Last: start}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0: // another owner, after a while
				if s.Running() {
					done = s.End(rapid.Bool().Draw(t, "fired"))
				}
				now += rapid.Int64Range(0, 3*interval).Draw(t, "outage")
				s = New(terms, start, false, 0, done)
				last = done.Last
			case 1:
				if s.Running() {
					done = s.End(true)
					require.GreaterOrEqual(t, done.Last, last)
				}
			default:
				now += rapid.Int64Range(0, 2*interval).Draw(t, "wait")
			}
			wasRunning := s.Running()
			st := s.Wake(now)
			require.True(t, st.WakeAt > now, "%d is not after %d", st.WakeAt, now)
			if st.Begin == nil {
				continue
			}
			b := st.Begin
			require.False(t, wasRunning)
			require.LessOrEqual(t, b.At, now)
			require.Greater(t, b.At, last, "fired twice")
			at, n := terms.Last(last, b.At)
			require.Equal(t, b.At, at)
			require.Equal(t, n-1+carried(done, last), b.Missed, "each that lies between is counted")
			last = b.At
		}
	})
}

// carried is what was missed before the last one that was stored.
func carried(d Done, last int64) int {
	if d.Last == last {
		return d.Missed
	}
	return 0
}
