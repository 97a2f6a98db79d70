package timing

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a tick costs: Next, as a schedule files its timer, and Last, as its new owner looks for what was missed.

const benchTime = 1_790_000_000_000

var benched = []struct{ name, expression, zone string }{
	{"minutes_utc", "*/5 * * * *", ""},
	{"daily_utc", "30 2 * * *", ""},
	{"minutes_new_york", "*/5 * * * *", "America/New_York"},
	{"daily_new_york", "30 2 * * *", "America/New_York"},
	{"weekdays_casablanca", "0 9 * * 1-5", "Africa/Casablanca"},
	{"leap_day_berlin", "0 0 29 2 *", "Europe/Berlin"},
}

func BenchmarkNext(b *testing.B) {
	b.Run("every", func(b *testing.B) { benchNext(b, NewEvery(30_000, 17, 0, 0)) })
	for _, c := range benched {
		b.Run(c.name, func(b *testing.B) { benchNext(b, newCron(b, c.expression, c.zone)) })
	}
}

func benchNext(b *testing.B, timing Timing) {
	b.ReportAllocs()
	at := int64(benchTime)
	for b.Loop() {
		if at, _ = timing.Next(at); at > 2*benchTime {
			at = benchTime
		}
	}
}

// Of one missed tick, and of many.
func BenchmarkLast(b *testing.B) {
	for _, n := range []int64{1, 10_000, 1_000_000} {
		b.Run(fmt.Sprint("every/", n), func(b *testing.B) { benchLast(b, NewEvery(60_000, 17, 0, 0), n) })
		b.Run(fmt.Sprint("minutes_new_york/", n), func(b *testing.B) { benchLast(b, newCron(b, "* * * * *", "America/New_York"), n) })
	}
}

func benchLast(b *testing.B, timing Timing, n int64) {
	b.ReportAllocs()
	for b.Loop() {
		timing.Last(benchTime, benchTime+n*60_000)
	}
}

// A million schedules of a few expressions.
func BenchmarkNewCron(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = NewCron("*/5 * * * *", "America/New_York", 0, 0)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, c := range benched {
		timing := newCron(t, c.expression, c.zone)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			p, from := From(timing, "shop", true, benchTime, 0)
			at, _ := p.Next(from)
			p.Last(from, at+400*86_400_000)
			_, _ = NewCron(c.expression, c.zone, 0, 0)
		}), c.name)
	}
	every := NewEvery(30_000, 17, 0, 0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		p, from := From(every, "shop", true, benchTime, 0)
		at, _ := p.Next(from)
		p.Last(from, at+86_400_000)
	}))
}
