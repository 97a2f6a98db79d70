package timing

import (
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	second  = int64(1000)
	minutes = 60 * second
	hours   = 60 * minutes
)

func TestPhaseIsThatOfFNV(t *testing.T) {
	require.EqualValues(t, uint64(0xaf63dc4c8601ec8c)%30_000, Phase("a", 30_000), "test vector of FNV-64a")
	require.EqualValues(t, uint64(0x85944171f73967e8)%math.MaxInt64, Spread("foobar", math.MaxInt64), "test vector of FNV-64a")
	require.Zero(t, Phase("a", 0))
	require.Zero(t, Spread("a", -1))
}

func TestTimingsAreSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Points{}), uintptr(48))
}

func TestGridIsEnumerated(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		every := rapid.Int64Range(1, 50).Draw(rt, "every")
		phase := rapid.Int64Range(-100, 100).Draw(rt, "phase")
		start := rapid.Int64Range(0, 100).Draw(rt, "start")
		end := rapid.Int64Range(0, 500).Draw(rt, "end")
		off := rapid.Int64Range(0, 400).Draw(rt, "off")
		p := Points{NewEvery(every, phase, start, end), off}
		var grid, all []int64
		for at := range int64(1000) {
			on := mod(at-phase, every) == 0 && at >= start && (end == 0 || at < end)
			if on {
				grid = append(grid, at)
			}
			if on || at == off && off > 0 {
				all = append(all, at)
			}
		}
		from := rapid.Int64Range(-200, 900).Draw(rt, "from")
		to := rapid.Int64Range(-200, 900).Draw(rt, "to")
		compare(rt, grid, from, to, p.Timing.Next, p.Timing.Last)
		compare(rt, all, from, to, p.Next, p.Last)
	})
}

func compare(rt *rapid.T, all []int64, from, to int64, next func(int64) (int64, bool), last func(int64, int64) (int64, int)) {
	var want []int64
	for _, at := range all {
		if at > from && at <= to {
			want = append(want, at)
		}
	}
	require.Equal(rt, want, walkTo(next, from, to))
	at, n := last(from, to)
	require.Equal(rt, len(want), n)
	if n > 0 {
		require.Equal(rt, want[n-1], at)
	} else {
		require.Zero(rt, at)
	}
}

func TestCronWithBoundsAndOnePointMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base := 1_790_000_000_000 / hours * hours
		instant := func(name string) int64 { return base + rapid.Int64Range(-100, 100).Draw(rt, name)*minutes }
		start, end, off := instant("start"), instant("end"), instant("off")
		timing, err := NewCron("*/7 * * * *", "Asia/Kathmandu", start, end)
		require.NoError(rt, err)
		free := newCron(t, "*/7 * * * *", "Asia/Kathmandu")
		var bounded, all []int64
		for at := base - 200*minutes; at < base+200*minutes; at += minutes {
			next, _ := free.Next(at - 1)
			on := next == at && at >= start && at < end
			if on {
				bounded = append(bounded, at)
			}
			if on || at == off {
				all = append(all, at)
			}
		}
		from, to := instant("from"), instant("to")
		p := Points{timing, off}
		compare(rt, bounded, from, to, timing.Next, timing.Last)
		compare(rt, all, from, to, p.Next, p.Last)
	})
}

// A fleet that was down for years: what was missed is counted, and the last of it found, without a look at each.
func TestManyTicksAreCounted(t *testing.T) {
	from := 1_700_000_000_000 / minutes * minutes // 2023-11-14
	for _, c := range []struct {
		expression, zone string
		to, last         int64
		n                int
	}{
		{"* * * * *", "", from + 10_000*minutes, from + 10_000*minutes, 10_000},
		{"* * * * *", "", from + 3_000_000*minutes + 59_999, from + 3_000_000*minutes, 3_000_000},
		{"* * * * *", "Australia/Lord_Howe", from + 3_000_000*minutes, from + 3_000_000*minutes, 3_000_000},
		{"* * 1 1 *", "", 1_780_000_000_000, 1_767_311_940_000, 3 * 1440},                      // until 2026-01-01 23:59
		{"* * * 1 *", "America/New_York", 1_798_000_000_000, 1_769_921_940_000, 3 * 31 * 1440}, // until 2026-01-31 23:59 -0500
	} {
		last, n := newCron(t, c.expression, c.zone).Last(from, c.to)
		require.Equal(t, c.last, last, c)
		require.Equal(t, c.n, n, c)
	}
}

// What a row says is input from outside.
func TestNothingOverflows(t *testing.T) {
	extremes := []int64{math.MinInt64, -1, 0, 1_790_000_000_000, horizon - 1, math.MaxInt64}
	daily := newCron(t, "30 2 * * *", "America/New_York")
	for _, a := range extremes {
		for _, b := range extremes {
			for _, c := range extremes {
				bounded := daily
				bounded.start, bounded.end = max(a, 0), b
				for _, timing := range []Timing{NewEvery(a, b, 0, 0), NewEvery(30_000, a, b, c), NewEvery(c, 0, a, b), bounded, {}} {
					p, from := From(timing, "name", true, a, b)
					require.GreaterOrEqual(t, from, int64(-1))
					for _, p := range []Points{p, {timing, c}} {
						if at, ok := p.Timing.Next(c); ok {
							require.Greater(t, at, c)
							require.True(t, at >= 0 && at < horizon)
							last, n := p.Timing.Last(c, at)
							require.Equal(t, at, last)
							require.Equal(t, 1, n)
						}
						at, n := p.Last(b, c)
						require.GreaterOrEqual(t, n, 0)
						require.True(t, n == 0 || at > b && at <= c)
					}
				}
			}
		}
	}
}

func TestFrom(t *testing.T) {
	const since = 1_790_000_000_123
	grid := func(every int64) Timing { return NewEvery(every, Phase("shop", every), 0, 0) }
	first := func(timing Timing, soon bool, since, last int64) int64 {
		p, from := From(timing, "shop", soon, since, last)
		at, ok := p.Next(from)
		require.True(t, ok)
		return at
	}
	onGrid := func(every, after int64) int64 { at, _ := grid(every).Next(after); return at }

	t.Run("soon after the creation, once", func(t *testing.T) {
		at := first(grid(22*hours), true, since, 0)
		require.Equal(t, since+Spread("shop", 10_000), at)
		require.Equal(t, onGrid(22*hours, at), first(grid(22*hours), true, since, at))
	})
	t.Run("soon within the interval", func(t *testing.T) {
		require.Less(t, first(grid(500), true, since, 0), int64(since+500))
	})
	t.Run("soon with cron", func(t *testing.T) {
		require.Equal(t, since+Spread("shop", 10_000), first(newCron(t, "0 3 * * *", ""), true, since, 0))
	})
	t.Run("on the grid", func(t *testing.T) {
		require.Equal(t, onGrid(22*hours, since), first(grid(22*hours), false, since, 0))
	})
	t.Run("22 h become 24 h: no gap of 45 h", func(t *testing.T) {
		last := onGrid(22*hours, since-40*hours)
		at := first(grid(24*hours), false, last+hours, last)
		require.LessOrEqual(t, at, last+24*hours)
	})
	t.Run("22 h become 1 min: nothing is missed", func(t *testing.T) {
		last := onGrid(22*hours, since-40*hours)
		p, from := From(grid(minutes), "shop", false, last+20*hours, last)
		_, n := p.Last(from, last+20*hours+minutes-1)
		require.Equal(t, 1, n)
	})
	t.Run("a point at the time of an edit is not lost", func(t *testing.T) {
		at := onGrid(minutes, since)
		require.Equal(t, at, first(grid(minutes), false, at, at-10))
		require.Equal(t, at+minutes, first(grid(minutes), false, at, at), "it was fired")
	})
	t.Run("bounds are those of the tick off the grid, too", func(t *testing.T) {
		timing := NewEvery(hours, 0, since+hours, 0)
		require.Equal(t, onGridOf(timing, since), first(timing, true, since, 0))
		p, _ := From(NewEvery(hours, 0, 0, since), "shop", true, since, 0)
		require.Zero(t, p.Off)
	})
}

func onGridOf(t Timing, after int64) int64 { at, _ := t.Next(after); return at }

// Owners come and go at any time between the ticks, and see the same ones.
func TestOwnersAgreeOnTheTicks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		every := rapid.Int64Range(1, 100_000).Draw(rt, "every")
		since := rapid.Int64Range(1_000_000, 2_000_000).Draw(rt, "since")
		soon := rapid.Bool().Draw(rt, "soon")
		last := rapid.SampledFrom([]int64{0, since - 1, since, since - rapid.Int64Range(1, 500_000).Draw(rt, "ago")}).Draw(rt, "last")
		timing := NewEvery(every, rapid.Int64Range(0, every-1).Draw(rt, "phase"), 0, 0)

		p, from := From(timing, "shop", soon, since, last)
		_, n := p.Last(from, since-1)
		require.Zero(rt, n, "nothing before is missed")
		if last >= since {
			require.Zero(rt, p.Off)
		}
		one := walkTo(p.Next, from, since+5*every)
		require.LessOrEqual(rt, one[0]-since, every)
		if soon && last == 0 {
			require.LessOrEqual(rt, one[0]-since, int64(soonest))
		}
		if last > 0 && last+every >= since {
			require.LessOrEqual(rt, one[0]-last, every)
		}
		for i := range one {
			q, from := From(timing, "shop", soon, since, one[i])
			require.Equal(rt, one[i+1:], append([]int64{}, walkTo(q.Next, from, since+5*every)...))
		}
	})
}
