package timing

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// zones are some whose clocks do what is rare.
var zones = []string{
	"", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Europe/Dublin", "Asia/Kathmandu", "Pacific/Apia",
	"Africa/Casablanca", "Antarctica/Troll", "America/St_Johns", "Asia/Gaza", "Pacific/Kwajalein", "Asia/Pyongyang",
}

func drawField(rt *rapid.T, name string, low, high int) string {
	value := rapid.IntRange(low, high)
	item := func() string {
		a := value.Draw(rt, name)
		switch rapid.IntRange(0, 3).Draw(rt, "form of "+name) {
		case 0:
			return fmt.Sprintf("%d-%d", a, rapid.IntRange(a, high).Draw(rt, "end of "+name))
		case 1:
			return fmt.Sprintf("%d/%d", a, rapid.IntRange(1, 9).Draw(rt, "step of "+name))
		}
		return strconv.Itoa(a)
	}
	switch rapid.IntRange(0, 5).Draw(rt, name+" is") {
	case 0, 1:
		return "*"
	case 2:
		return fmt.Sprintf("*/%d", rapid.IntRange(1, 12).Draw(rt, "step of "+name))
	case 3:
		return item() + "," + item()
	}
	return item()
}

func drawExpression(rt *rapid.T) string {
	fields := []string{drawField(rt, "minute", 0, 59), drawField(rt, "hour", 0, 23), "*", "*", "*"}
	if rapid.Bool().Draw(rt, "days, too") {
		fields[2], fields[3], fields[4] = drawField(rt, "day", 1, 28), drawField(rt, "month", 1, 12), drawField(rt, "weekday", 0, 6)
	}
	return strings.Join(fields, " ")
}

// drawInstant draws a time, mostly one around a change of the clock.
func drawInstant(rt *rapid.T, zone *time.Location) int64 {
	year := rapid.IntRange(1971, 2099).Draw(rt, "year")
	t := time.Date(year, 1, 1, 0, 0, 0, 0, zone)
	for range rapid.IntRange(0, 5).Draw(rt, "changes") {
		if _, end := t.ZoneBounds(); end.After(t) {
			t = end
		}
	}
	return t.UnixMilli() + rapid.Int64Range(-36*hour*1000, 36*hour*1000).Draw(rt, "beside")
}

// model walks through the minutes of a zone. It asks robfig/cron what matches, in UTC.
type model struct {
	schedule         robfig.Schedule
	anyHour, allHour bool
	zone             *time.Location
}

func newModel(t require.TestingT, expression, zone string) *model {
	schedule, err := parser.Parse(expression)
	require.NoError(t, err)
	location, err := time.LoadLocation(zone)
	require.NoError(t, err)
	hours := schedule.(*robfig.SpecSchedule).Hour
	m := &model{schedule: schedule, allHour: bits.OnesCount64(hours<<1) == 24, zone: location}
	m.anyHour = m.allHour || strings.Fields(expression)[1][0] == '*'
	return m
}

func (m *model) wall(at int64) int64 {
	_, offset := time.Unix(at, 0).In(m.zone).Zone()
	return at + int64(offset)
}

func (m *model) matches(wall int64) bool {
	t := time.Unix(wall, 0).UTC()
	return m.schedule.Next(t.Add(-time.Second)).Equal(t)
}

// ticks returns those after from and not after to, in milliseconds.
func (m *model) ticks(from, to int64) (ticks []int64) {
	begin := div(from-3*day*1000, 60_000) * 60 // by then, the clock showed less than at from
	reached := m.wall(begin)
	for at := begin + 60; at*1000 <= to; at += 60 {
		wall := m.wall(at)
		fires := false
		switch moved := wall - m.wall(at-60) - 60; {
		case m.anyHour && moved < 0, m.allHour && moved > 0 && moved%hour == 0:
			fires, reached = m.matches(wall), wall
		default:
			for reached < wall {
				reached += 60
				fires = fires || m.matches(reached)
			}
		}
		if fires && at*1000 > from {
			ticks = append(ticks, at*1000)
		}
	}
	return ticks
}

func TestCronIsWhatTheClockShows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(rt, "zone")
		expression := drawExpression(rt)
		timing, err := NewCron(expression, zone, 0, 0)
		require.NoError(rt, err)
		m := newModel(rt, expression, zone)
		from := drawInstant(rt, m.zone)
		to := from + rapid.Int64Range(0, 2*day*1000).Draw(rt, "for")
		want := m.ticks(from, to)
		require.Equal(rt, want, walkTo(timing.Next, from, to))
		last, n := timing.Last(from, to)
		require.Equal(rt, len(want), n)
		if n > 0 {
			require.Equal(rt, want[n-1], last)
		}
	})
}

// walkTo returns the ticks after from and not after to, one after the other.
func walkTo(next func(int64) (int64, bool), from, to int64) (ticks []int64) {
	for at, ok := next(from); ok && at <= to; at, ok = next(at) {
		ticks = append(ticks, at)
	}
	return ticks
}

// What is counted is what is found one after the other, over months.
func TestCronCountsWhatItFinds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(rt, "zone")
		timing, err := NewCron(drawExpression(rt), zone, 0, 0)
		require.NoError(rt, err)
		from := drawInstant(rt, timing.cron.zone)
		to := from + rapid.Int64Range(0, 40*day*1000).Draw(rt, "for")
		ticks := walkTo(timing.Next, from, to)
		last, n := timing.Last(from, to)
		require.Equal(rt, len(ticks), n)
		if n > 0 {
			require.Equal(rt, ticks[n-1], last)
		}
	})
}

// In UTC, the evaluation is that of robfig/cron as far as that looks, five years.
func TestCronInUTCIsThatOfTheParser(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var fields []string
		for i, of := range [][2]int{{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 6}} {
			fields = append(fields, drawField(rt, fmt.Sprint("field", i), of[0], of[1]))
		}
		schedule, err := parser.Parse(strings.Join(fields, " "))
		require.NoError(rt, err)
		at := time.UnixMilli(rapid.Int64Range(0, 200*365*day*1000).Draw(rt, "from")).UTC()
		timing, err := NewCron(strings.Join(fields, " "), "", 0, 0)
		if err != nil {
			require.ErrorContains(rt, err, "never fires")
			require.True(rt, schedule.Next(at).IsZero())
			return
		}
		for range 10 {
			want := schedule.Next(at)
			got, ok := timing.Next(at.UnixMilli())
			require.True(rt, ok)
			if want.IsZero() {
				require.Greater(rt, got, at.AddDate(5, 0, 0).UnixMilli())
				return
			}
			require.Equal(rt, want.UnixMilli(), got)
			at = want
		}
	})
}

// Each time of the day, over years of changes: one tick a day of the zone's calendar, and the same one whenever before it is asked for.
func TestDailyIsOnceADay(t *testing.T) {
	for _, c := range []struct {
		zone       string
		year, days int
	}{
		{"America/New_York", 2025, 730}, {"Australia/Lord_Howe", 2025, 730}, {"America/Sao_Paulo", 2017, 730}, {"Europe/Dublin", 2025, 730},
		{"Asia/Kathmandu", 1985, 730}, {"Africa/Casablanca", 2025, 730},
		{"America/New_York", 2095, 731}, // beyond the table of the zone, with a leap year
	} {
		t.Run(fmt.Sprint(c.zone, " ", c.year), func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			require.NoError(t, err)
			begin := time.Date(c.year, 1, 1, 0, 0, 0, 0, zone).Add(-time.Millisecond)
			for minutes := 0; minutes < 24*60; minutes += 97 {
				timing := newCron(t, fmt.Sprintf("%d %d * * *", minutes%60, minutes/60), c.zone)
				at, last := begin.UnixMilli(), ""
				for range c.days {
					next, ok := timing.Next(at)
					require.True(t, ok)
					require.Greater(t, next, at)
					for _, between := range []int64{at + 1, at + (next-at)/3, next - 5_400_000, next - 1800_000, next - 1} {
						if between < at || between >= next {
							continue
						}
						again, _ := timing.Next(between)
						require.Equal(t, next, again)
					}
					date := time.UnixMilli(next).In(zone).Format(time.DateOnly)
					require.NotEqual(t, last, date)
					at, last = next, date
				}
				require.Equal(t, begin.AddDate(0, 0, c.days).Format(time.DateOnly), last)
			}
		})
	}
}
