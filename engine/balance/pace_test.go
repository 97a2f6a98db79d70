package balance_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/engine/balance"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		n    int
		held []int
		of   []int
	}{
		{5, nil, []int{}},
		{0, []int{1, 2}, []int{0, 0}},
		{-1, []int{1, 2}, []int{0, 0}},
		{3, []int{0, 0}, []int{0, 0}},
		{10, []int{50, 30, 20}, []int{5, 3, 2}},
		{1, []int{3, 5, 5}, []int{0, 1, 0}},
		{2, []int{1, 1, 1}, []int{1, 1, 0}},
		{100, []int{3, 0, 5}, []int{3, 0, 5}},
		{4, []int{-7, 2, 6}, []int{0, 1, 3}},
		{math.MaxInt, []int{math.MaxInt / 2, math.MaxInt / 2}, []int{math.MaxInt / 2, math.MaxInt / 2}},
	} {
		require.Equal(t, c.of, balance.Spread(c.n, c.held), "%+v", c)
	}
}

func TestSpreadIsInProportion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SliceOfN(rapid.IntRange(0, 10_000), 0, 300).Draw(t, "held")
		n := rapid.IntRange(-10, 100_000).Draw(t, "n")
		sum, given := 0, 0
		for _, h := range held {
			sum += h
		}
		of := balance.Spread(n, held)
		for i := range held {
			require.True(t, of[i] >= 0 && of[i] <= held[i])
			if n > 0 && n < sum {
				require.InDelta(t, float64(n)*float64(held[i])/float64(sum), of[i], 1)
			}
			given += of[i]
		}
		require.Equal(t, max(0, min(n, sum)), given)
	})
}

func TestMeter(t *testing.T) {
	var m balance.Meter
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	p := balance.Pace{Rate: 100, Stop: 1000}
	require.Zero(t, m.Next(at(5000), p, 2000, 0), "the first call only starts it")
	require.Equal(t, 5, m.Next(at(5050), p, 2000, 0))
	require.Equal(t, 0, m.Next(at(5055), p, 2000, 0))
	require.Equal(t, 1, m.Next(at(5060), p, 2000, 0))
	require.Equal(t, 64, m.Next(at(6060), p, 2000, 0), "no more than may be unanswered")
	require.Equal(t, 2, m.Next(at(6075), p, 2000, 62), "what could not be given is not made up for")
	require.Equal(t, 0, m.Next(at(6275), p, 2000, 64))
	require.Equal(t, 0, m.Next(at(6275), p, 2000, 100))
	require.Equal(t, 3, m.Next(at(6375), p, 1010, 7), "seven of them are leaving")
	require.Equal(t, 0, m.Next(at(6475), p, 1007, 7))
	require.Equal(t, 0, m.Next(at(6575), p, 900, 0))
	require.Zero(t, m.Next(at(6675), balance.Pace{}, 2000, 0))
	require.Equal(t, 64, m.Next(at(66_675), p, 2000, 0), "a very late call")
	require.Equal(t, 1, m.Next(at(66_675), p, 2000, 0))
	require.Zero(t, m.Next(at(60_000), p, 2000, 0), "a clock that goes back")

	var slow balance.Meter
	given := 0
	for ms := 0; ms <= 100_000; ms += 100 {
		given += slow.Next(at(ms), balance.Pace{Rate: 0.25}, 100, 0)
	}
	require.InDelta(t, 25, given, 1)
}

func TestMeterNeverGoesBelowStop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m balance.Meter
		now, held, leaving := time.Duration(0), rapid.IntRange(0, 3000).Draw(t, "held"), 0
		start, given := held, 0
		p := balance.Pace{Rate: rapid.Float64Range(0.01, 5000).Draw(t, "rate"), Stop: rapid.IntRange(1, 3000).Draw(t, "stop")}
		for range rapid.IntRange(1, 100).Draw(t, "calls") {
			now += time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond
			n := m.Next(now, p, held, leaving)
			require.GreaterOrEqual(t, n, 0)
			leaving += n
			given += n
			require.LessOrEqual(t, leaving, balance.Unanswered)
			ended := rapid.IntRange(0, leaving).Draw(t, "ended")
			leaving, held = leaving-ended, held-ended
		}
		require.GreaterOrEqual(t, held-leaving, min(start, p.Stop))
		require.LessOrEqual(t, float64(given), p.Rate*now.Seconds()+1)
	})
}
