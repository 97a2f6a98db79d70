package balance_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/engine/balance"
)

func one(total int, weight, least float64) []balance.Part {
	return []balance.Part{{Total: total, Weight: weight, Least: least}}
}

// split has the same streams in so many partitions.
func split(total, partitions int, weight, least float64) []balance.Part {
	parts := make([]balance.Part, partitions)
	for i := range parts {
		parts[i] = balance.Part{Total: total / partitions, Weight: weight, Least: least}
		if i < total%partitions {
			parts[i].Total++
		}
	}
	return parts
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		name       string
		weight     float64
		parts      []balance.Part
		f, fair    float64
		even, open bool
		held, room int
	}{
		{name: "nothing is known", weight: 1, open: true, held: 5, room: math.MaxInt},
		{name: "nobody shares", weight: 1, parts: one(100, 0, -1), open: true, room: math.MaxInt},
		{name: "alone", weight: 1, parts: one(100, 1, 100), f: 100, fair: 100, even: true, open: true, held: 100, room: math.MaxInt},
		{name: "alone, with a weight that is rounded", weight: 0.3336, parts: one(100, 0.334, -1), f: 299.4, fair: 99.88, even: true, open: true, room: math.MaxInt},
		{name: "beside a weight of a thousandth", weight: 1, parts: one(1001, 1.001, 900), f: 1000, fair: 1000, even: true, held: 1000, room: 51},
		{name: "one of four, even", weight: 1, parts: one(10_000, 4, 2500), f: 2500, fair: 2500, even: true, held: 2500, room: 126},
		{name: "one of four, somebody has nine tenths", weight: 1, parts: one(10_000, 4, 2250), f: 2500, fair: 2500, even: true, held: 2500, room: 126},
		{name: "one of four, somebody has less", weight: 1, parts: one(10_000, 4, 2249), f: 2500, fair: 2500, held: 2400, room: 100},
		{name: "more than the share", weight: 1, parts: one(10_000, 4, 0), f: 2500, fair: 2500, held: 9000, room: 0},
		{name: "a share that is no integer", weight: 1, parts: one(10, 3, 3), f: 10.0 / 3, fair: 10.0 / 3, even: true, held: 3, room: 2},
		{name: "2-2-2-2-2-0 is not even", weight: 1, parts: one(10, 6, 0), f: 10.0 / 6, fair: 10.0 / 6, held: 2, room: 0},
		{name: "2-2-2-2-2-0, for the last one", weight: 1, parts: one(10, 6, 0), f: 10.0 / 6, fair: 10.0 / 6, held: 0, room: 2},
		{name: "2-2-2-2-1-1 is even", weight: 1, parts: one(10, 6, 1), f: 10.0 / 6, fair: 10.0 / 6, even: true, held: 2, room: 1},
		{name: "the only stream, for who has it", weight: 1, parts: one(1, 2, 0), f: 0.5, fair: 0.5, held: 1, room: 0},
		{name: "the only stream, for the other one", weight: 1, parts: one(1, 2, 0), f: 0.5, fair: 0.5, held: 0, room: 1},
		{name: "no stream yet: both wait for the first", weight: 1, parts: one(0, 2, 0), held: 0, room: 1},
		{name: "a great weight", weight: 10, parts: one(30, 20, 1.1), f: 1.5, fair: 15, held: 11, room: 4},
		{name: "a small weight", weight: 0.01, parts: one(500, 100, 4), f: 5, fair: 0.05, held: 0, room: 1},
		{name: "nobody has told its fill", weight: 1, parts: one(100, 4, -1), f: 25, fair: 25, even: true, held: 25, room: 3},
		{name: "one that does not share", weight: 0, parts: one(10_000, 4, 2500), f: 2500, held: 100, room: 0},
		{name: "one that does not share, and there are no streams", weight: 0, parts: one(0, 4, 0), room: 0},
		{name: "one that does not share, beside one that has the rest", weight: 0, parts: one(500, 1, 500), f: 500, room: 0},
		{name: "256 partitions with 2,000 streams", weight: 1, parts: split(2000, 256, 20, 100), f: 100, fair: 100, even: true, held: 100, room: 6},
		{name: "256 partitions, not even", weight: 1, parts: split(2000, 256, 20, 0), f: 100, fair: 100, held: 0, room: 100},
		{name: "a partition of which nothing is known yet", weight: 1, parts: append(one(90, 3, 30), balance.Part{Total: 30, Least: -1}),
			f: 40, fair: 40, held: 39, room: 1},
	} {
		s := balance.ShareOf(c.weight, c.parts)
		require.InDelta(t, c.f, s.F, 0.01, c.name)
		require.InDelta(t, c.fair, s.Fair, 0.01, c.name)
		require.Equal(t, c.even, s.Even, c.name)
		require.Equal(t, c.open, s.Open, c.name)
		require.Equal(t, c.room, s.Room(c.held), c.name)
	}
}

func TestLeastOfSeveralPartitions(t *testing.T) {
	parts := []balance.Part{{Total: 10, Weight: 2, Least: -1}, {Total: 20, Weight: 2, Least: 9}, {Total: 0, Weight: 2, Least: 7}}
	s := balance.ShareOf(1, parts)
	require.Equal(t, 7.0, s.Least)
	require.Equal(t, 30, s.Total)
	require.Equal(t, -1.0, balance.ShareOf(1, parts[:1]).Least)
}

// Whatever is there finds room, and no more than a little is taken beyond it, if all processes see the same.
func TestRoomFitsWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0.01, 1000), 2, 30).Draw(t, "weights")
		held := rapid.SliceOfN(rapid.IntRange(0, 1000), len(weights), len(weights)).Draw(t, "held")
		waiting := rapid.IntRange(0, 5000).Draw(t, "waiting")
		partitions := rapid.IntRange(1, 300).Draw(t, "partitions")
		total, sum, least := waiting, 0.0, math.Inf(1)
		for i, w := range weights {
			total += held[i]
			sum += w
			least = min(least, float64(held[i])/w)
		}
		room, beyond := 0, 0.0
		for i, w := range weights {
			s := balance.ShareOf(w, split(total, partitions, sum, least))
			if s.Open {
				return // a thousand times the weight of all others
			}
			r := s.Room(held[i])
			require.GreaterOrEqual(t, r, 0)
			if r > 0 {
				require.LessOrEqual(t, float64(held[i]+r), 1.05*s.Fair+2+1e-3)
			}
			room += r
			beyond += max(0, float64(held[i])-s.Fair)
		}
		require.GreaterOrEqual(t, float64(room), float64(waiting)-1e-3)
		require.LessOrEqual(t, float64(total-waiting+room), 1.05*float64(total)+2*float64(len(weights))+beyond+1e-3)
	})
}

// Whether a process is counted while it decides to leave the sums makes no difference, so it does not go to and fro.
func TestFullIsTheSameInAndOut(t *testing.T) {
	require.True(t, balance.Full(1, 1000, one(10_000, 4, 0)), "2,500 are its share")
	require.False(t, balance.Full(1, 2500, one(10_000, 4, 0)), "it would not read anyway")
	require.False(t, balance.Full(1, 10_000, one(10_000, 4, 0)), "it has too many")
	require.True(t, balance.Full(1, 10, nil))
	require.True(t, balance.Full(1, 10, one(0, 0, -1)))
	rapid.Check(t, func(t *rapid.T) {
		weight := rapid.Float64Range(0.01, 1000).Draw(t, "weight")
		others := rapid.Float64Range(0.01, 1000).Draw(t, "others")
		held := rapid.IntRange(0, 100_000).Draw(t, "held")
		rest := rapid.IntRange(0, 100_000).Draw(t, "rest")
		if math.Abs(float64(held)*others-float64(rest)*weight) < 1 {
			return // by rounding it may be either
		}
		require.Equal(t, balance.Full(weight, held, one(rest, others, -1)), balance.Full(weight, held, one(rest+held, others+weight, -1)))
	})
}

func TestPerRead(t *testing.T) {
	for _, c := range [][3]int{{0, 4, 0}, {-3, 4, 0}, {1, 4, 1}, {7, 4, 1}, {8, 4, 2}, {9, 0, 9}, {math.MaxInt, 1, math.MaxInt}} {
		require.Equal(t, c[2], balance.PerRead(c[0], c[1]), "%v", c)
	}
}

func TestLeftovers(t *testing.T) {
	s := balance.ShareOf(1, one(10_000, 4, 0)) // 2,500
	for _, c := range []struct {
		share  balance.Share
		held   int
		waited time.Duration
		reads  int
	}{
		{s, 2500, 499 * time.Millisecond, 0},
		{s, 2500, 500 * time.Millisecond, 64},
		{s, 0, 500 * time.Millisecond, 64},
		{s, 2750, 600 * time.Millisecond, 0},
		{s, 2750, 650 * time.Millisecond, 64},
		{s, 5000, 1999 * time.Millisecond, 0},
		{s, 5000, 2 * time.Second, 64},
		{s, 100_000, 2 * time.Second, 64},
		{balance.ShareOf(1, nil), 100_000, 500 * time.Millisecond, 64},
		{balance.ShareOf(0, one(10_000, 4, 0)), 0, time.Minute, 0},
		{balance.ShareOf(1, one(1, 20, 0)), 2, 999 * time.Millisecond, 0},
		{balance.ShareOf(1, one(1, 20, 0)), 1, 500 * time.Millisecond, 64},
	} {
		require.Equal(t, c.reads, c.share.Leftover(c.held, c.waited), "%+v", c)
	}
}

func TestLead(t *testing.T) {
	s := balance.ShareOf(1, one(10_000, 4, 2500))
	require.Equal(t, time.Second, s.LeadOf(2500, 20*time.Second))
	require.Equal(t, 300*time.Millisecond, s.LeadOf(2500, 3*time.Second))
	require.Zero(t, s.LeadOf(0, 20*time.Second), "it holds nothing")
	require.Zero(t, balance.ShareOf(1, one(10_000, 1, 10_000)).LeadOf(10_000, 20*time.Second), "it is alone")
	require.Zero(t, s.LeadOf(2500, -time.Second))
}

func TestOpening(t *testing.T) {
	require.Equal(t, []int{64, 64, 64, 625}, []int{balance.Opening(0), balance.Opening(100), balance.Opening(1024), balance.Opening(10_000)})
}

func TestNewcomer(t *testing.T) {
	at := func(tenths int) time.Duration { return time.Duration(tenths) * 100 * time.Millisecond }
	var alone balance.Newcomer
	require.Equal(t, 625, alone.Room(10_000, 0), "before the first answer")
	alone.Answered(at(1000), 7)
	require.Equal(t, 600, alone.Room(10_000, 25))
	require.Zero(t, alone.Room(10_000, 700))
	alone.Answered(at(1005), 7)
	require.Equal(t, 625, alone.Room(10_000, 0))
	alone.Answered(at(1010), 7)
	require.Equal(t, math.MaxInt, alone.Room(10_000, 700))
	alone.Answered(at(1020), 8)
	require.Equal(t, math.MaxInt, alone.Room(10_000, 700), "it is over for good")

	var early balance.Newcomer
	early.Answered(0, 1)
	for i, changes := range []int64{3, 4, 9, 10} {
		early.Answered(at(10*(i+1)), changes)
		require.Zero(t, early.Room(10_000, 700), "others join")
	}
	early.Answered(at(50), 11)
	require.Equal(t, math.MaxInt, early.Room(10_000, 700), "it has been long enough")

	var second balance.Newcomer
	second.Answered(0, 1)
	second.Answered(at(10), 2)
	second.Answered(at(15), 2)
	require.Zero(t, second.Room(10_000, 700))
	second.Answered(at(20), 2)
	require.Equal(t, math.MaxInt, second.Room(10_000, 700))
}

func TestRamp(t *testing.T) {
	for _, c := range []struct {
		crashes int
		up      time.Duration
		part    float64
	}{
		{0, 0, 1}, {-1, 0, 1},
		{1, 0, 0.02}, {1, -time.Second, 0.02}, {1, 30 * time.Second, math.Sqrt(0.02)}, {1, time.Minute, 1}, {1, time.Hour, 1},
		{2, time.Minute, math.Sqrt(0.02)}, {2, 2 * time.Minute, 1}, {4, 4 * time.Minute, math.Sqrt(0.02)},
		{5, 5 * time.Minute, math.Sqrt(0.02)}, {5, 10 * time.Minute, 1}, {1_000_000, 10 * time.Minute, 1}, {1_000_000, 0, 0.02},
	} {
		require.InDelta(t, c.part, balance.Ramp(c.crashes, c.up), 1e-9, "%+v", c)
	}
	rapid.Check(t, func(t *rapid.T) {
		crashes := rapid.IntRange(1, 20).Draw(t, "crashes")
		up := time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "up"))
		part := balance.Ramp(crashes, up)
		require.True(t, part >= balance.RampFrom && part <= 1)
		require.LessOrEqual(t, part, balance.Ramp(crashes, up+time.Second), "it grows")
		require.GreaterOrEqual(t, part, balance.Ramp(crashes+1, up), "more slowly the more crashes there were")
	})
}
