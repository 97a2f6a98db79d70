package wheel

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRoundsUpToATick(t *testing.T) {
	for _, c := range []struct{ at, want int64 }{
		{1000*ms + 1, 1100 * ms},
		{1050 * ms, 1100 * ms},
		{1099*ms + 999_999, 1100 * ms},
		{1100 * ms, 1100 * ms},
		{1100*ms + 1, 1200 * ms},
	} {
		w := newWheel(t, Config{}, second)
		w.Schedule(1, 0, c.at)
		at, ok := w.Deadline(1)
		require.True(t, ok)
		require.Equal(t, c.want, at, "for %d", c.at)
		require.Empty(t, advance(w, c.want-1))
		require.Equal(t, map[uint16][]Handle{0: {1}}, advance(w, c.want))
	}
}

func TestBeforeZero(t *testing.T) {
	w := newWheel(t, Config{}, -10*second-1)
	w.Schedule(1, 0, -9*second-1)
	w.Schedule(2, 0, 50*ms)
	at, _ := w.Deadline(1)
	require.Equal(t, -9*second, at)
	require.Empty(t, advance(w, -9*second-1))
	require.Equal(t, map[uint16][]Handle{0: {1}}, advance(w, -9*second))
	require.Empty(t, advance(w, 99*ms))
	require.Equal(t, map[uint16][]Handle{0: {2}}, advance(w, 100*ms))
}

func TestPastDeadlineComesOutAtTheNextTick(t *testing.T) {
	for _, at := range []int64{math.MinInt64, 0, 9 * second, 10*second - 1, 10 * second, 10*second + 1} {
		w := newWheel(t, Config{}, 10*second)
		w.Schedule(3, 7, at)
		next, ok := w.Next()
		require.True(t, ok)
		require.Equal(t, 10*second+100*ms, next)
		require.Empty(t, advance(w, next-1))
		require.Equal(t, map[uint16][]Handle{7: {3}}, advance(w, next))
	}
}

func TestEndOfTheAxis(t *testing.T) {
	for _, tick := range []time.Duration{MinTick, DefaultTick, MaxTick} {
		for _, start := range []int64{math.MinInt64, 0, math.MaxInt64 - int64(3*tick)} {
			w := newWheel(t, Config{Tick: tick}, start)
			last := math.MaxInt64 / int64(tick) * int64(tick)
			w.Schedule(1, 0, last)
			w.Schedule(2, 0, math.MaxInt64)
			require.NoError(t, invariants(w))
			require.Empty(t, advance(w, last-1))
			require.Equal(t, map[uint16][]Handle{0: {1}}, advance(w, math.MaxInt64))
			at, ok := w.Deadline(2)
			require.True(t, ok)
			require.Equal(t, int64(math.MaxInt64), at)
		}
	}
}

func TestClockThatGoesBackChangesNothing(t *testing.T) {
	w := newWheel(t, Config{}, minute)
	w.Schedule(1, 0, minute+second)
	w.Schedule(2, 0, minute+2*second)
	require.Len(t, advance(w, minute+second), 1)
	var due Due
	w.Advance(minute+2*second, &due)
	w.Schedule(3, 0, minute+3*second)
	for _, now := range []int64{math.MinInt64, 0, minute, minute + 2*second} {
		w.Advance(now, &due)
		require.Zero(t, due.Len())
		for range due.Groups() {
			t.Fatal("a group from an Advance before this one")
		}
	}
	// Time has not moved: what is past by it is past.
	w.Schedule(4, 0, minute+second)
	at, _ := w.Deadline(4)
	require.Equal(t, minute+2*second+100*ms, at)
	require.Equal(t, map[uint16][]Handle{0: {4, 3}}, advance(w, minute+3*second))
}

func TestMoveAndCancel(t *testing.T) {
	w := newWheel(t, Config{}, 0)
	w.Schedule(5, 1, minute)
	w.Schedule(5, 2, second) // earlier, and to another partition
	require.Equal(t, 1, w.Len())
	w.Schedule(5, 3, second) // only to another partition
	require.Equal(t, map[uint16][]Handle{3: {5}}, advance(w, second))
	require.Empty(t, advance(w, hour))
	require.False(t, w.Cancel(5), "it came out")

	w.Schedule(5, 1, 2*hour)
	require.True(t, w.Cancel(5))
	require.False(t, w.Cancel(5))
	require.False(t, w.Cancel(70_000), "never armed")
	require.False(t, w.Cancel(MaxHandle))
	_, ok := w.Deadline(5)
	require.False(t, ok)
	_, ok = w.Deadline(MaxHandle)
	require.False(t, ok)
	_, ok = w.Next()
	require.False(t, ok)
	require.Empty(t, advance(w, day))
}

func TestHandleAboveTheLimitPanics(t *testing.T) {
	w := newWheel(t, Config{}, 0)
	require.Panics(t, func() { w.Schedule(MaxHandle+1, 0, 0) })
	require.False(t, w.Cancel(MaxHandle+1))
	require.False(t, w.Cancel(math.MaxUint32))
	require.Zero(t, w.Len())
}

// wakes runs a loop that only follows Next until something is due.
func wakes(t *testing.T, w *Wheel) (count int, at int64) {
	var due Due
	at = w.time(w.now)
	for due.Len() == 0 {
		next, ok := w.Next()
		require.True(t, ok)
		require.Greater(t, next, at, "Next must move on")
		at = next
		w.Advance(at, &due)
		count++
		require.Less(t, count, 1000)
	}
	return count, at
}

func TestLoneTimerNeedsFewWakes(t *testing.T) {
	for _, c := range []struct {
		after int64
		most  int
	}{
		{100 * ms, 1},
		{6 * minute, 1},
		{7 * minute, 2},
		{7 * hour, 2},
		{22 * hour, 2},
		{19 * day, 2},
		{20 * day, 3},   // beyond the range: filed once again
		{365 * day, 21}, // and once more each 19.4 days
	} {
		w := newWheel(t, Config{}, 12_345*ms)
		w.Schedule(9, 0, 12_345*ms+c.after)
		want, _ := w.Deadline(9)
		count, at := wakes(t, w)
		require.Equal(t, want, at)
		require.LessOrEqual(t, count, c.most, "%v", time.Duration(c.after))
	}
}

// With the default shape everything that cascades lands in level 0, so a single
// timer wakes the loop at most twice, wherever it starts.
func TestAtMostOneMoveWithinTheRange(t *testing.T) {
	w := newWheel(t, Config{}, 0)
	reach := int64(100*ms) << Config{}.WithDefaults().reachBits()
	now, twice := int64(0), 0
	for range 5000 {
		after := 1 + rand.Int64N(int64(1)<<rand.IntN(bits.Len64(uint64(reach))))
		w.Schedule(9, 0, now+after)
		want, _ := w.Deadline(9)
		count, at := wakes(t, w)
		require.Equal(t, want, at)
		require.LessOrEqual(t, count, 2, "at %d, after %v", now, time.Duration(after))
		twice += count - 1
		now = at
	}
	require.Positive(t, twice, "none had to move")
}

// A cascade moves one slot, so the timers of one slot bound how long a tick can
// take. Levels that did not overlap would put 4,096 ticks into a slot of level 1.
func TestASlotHoldsNoMoreTicksThanItIsWide(t *testing.T) {
	w := newWheel(t, Config{}, 0)
	for h := range Handle(300_000) { // one a tick, into all three levels
		w.Schedule(h, 0, int64(h+1)*100*ms)
	}
	most := map[int]int{}
	for list, h := range w.heads {
		level := list >> laneBits >> w.slotBits
		length := 0
		for ; h != none; h = w.nodes.at(h).next {
			length++
		}
		most[level] = max(most[level], length*lanes) // handles are spread evenly over the lanes
	}
	require.Equal(t, map[int]int{0: lanes, 1: 64, 2: 4096}, most)
}

func TestLongPauseGivesAllAtOnce(t *testing.T) {
	for _, pause := range []int64{minute, hour, day, 30 * day} {
		const timers = 50_000
		w := newWheel(t, Config{}, second)
		for h := range Handle(timers) {
			w.Schedule(h, uint16(h%97), second+1+rand.Int64N(pause-second))
		}
		deadline := make([]int64, timers)
		for h := range deadline {
			deadline[h], _ = w.Deadline(Handle(h))
		}
		w.Schedule(timers, 5, second+pause+minute)
		seen := make([]bool, timers)
		for partition, handles := range advance(w, second+pause) {
			require.True(t, slices.IsSortedFunc(handles, func(a, b Handle) int {
				return int(deadline[a] - deadline[b])
			}))
			for _, h := range handles {
				require.Equal(t, uint16(h%97), partition)
				require.False(t, seen[h])
				seen[h] = true
			}
		}
		require.NotContains(t, seen, false)
		require.Equal(t, 1, w.Len())
		require.NoError(t, invariants(w))
	}
}

func TestAMillionTimersInAllPartitions(t *testing.T) {
	const timers = 1_000_000
	w := newWheel(t, Config{}, 0)
	for h := range Handle(timers) {
		w.Schedule(h, uint16(h), 30*second+int64(h%1000)*ms)
	}
	require.Equal(t, timers, w.Len())
	require.NoError(t, invariants(w))
	var due Due
	w.Advance(30*second-1, &due)
	require.Zero(t, due.Len())
	w.Advance(31*second, &due)
	require.Equal(t, timers, due.Len())
	groups, sum := 0, 0
	for partition, handles := range due.Groups() {
		groups++
		sum += len(handles)
		for _, h := range handles {
			if uint16(h) != partition {
				t.Fatalf("handle %d in partition %d", h, partition)
			}
		}
	}
	require.Equal(t, 1<<16, groups)
	require.Equal(t, timers, sum)
	require.Zero(t, w.Len())
}

func TestGroupsCanBeChangedAndLeftEarly(t *testing.T) {
	w := newWheel(t, Config{}, 0)
	for h := range Handle(30) {
		w.Schedule(h, uint16(h%3), second)
	}
	var due Due
	w.Advance(second, &due)
	count := 0
	for range due.Groups() {
		count++
		break
	}
	require.Equal(t, 1, count)
	sum := 0
	for partition, handles := range due.Groups() {
		require.Len(t, handles, 10)
		for _, h := range handles {
			require.EqualValues(t, partition, h%3)
			w.Schedule(h, partition, 2*second) // while iterating
			sum++
		}
		_ = append(handles, 999) // must not reach the group after this one
	}
	require.Equal(t, 30, sum)
	w.Advance(2*second, &due)
	require.Equal(t, 30, due.Len())
}

func TestOneDueServesSeveralWheels(t *testing.T) {
	a, b := newWheel(t, Config{}, 0), newWheel(t, Config{}, 0)
	a.Schedule(1, 9, second)
	a.Schedule(2, 8, second)
	b.Schedule(3, 9, second)
	var due Due
	a.Advance(second, &due)
	require.Equal(t, 2, due.Len())
	b.Advance(second, &due)
	require.Equal(t, 1, due.Len())
	for partition, handles := range due.Groups() {
		require.EqualValues(t, 9, partition)
		require.Equal(t, []Handle{3}, handles)
	}
}
