package timing

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"
)

const wallLayout = "2006-01-02 15:04:05 -0700"

func newCron(t testing.TB, expression, zone string) Timing {
	t.Helper()
	timing, err := NewCron(expression, zone, 0, 0)
	require.NoError(t, err)
	return timing
}

// The next ticks after an instant, one table a case of what a change of the clock does.
func TestTicksAroundChangesOfTheClock(t *testing.T) {
	for _, c := range []struct {
		name, expression, zone, after string
		ticks                         []string
	}{
		{"a gap leaves out a daily time", "30 2 * * *", "America/New_York", "2026-03-07 00:00:00 -0500", []string{
			"2026-03-07 02:30:00 -0500", "2026-03-08 03:00:00 -0400", "2026-03-09 02:30:00 -0400"}},
		{"a gap leaves out several", "*/20 2 * * *", "America/New_York", "2026-03-08 00:00:00 -0500", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-09 02:00:00 -0400"}},
		{"a gap leaves out one, and its end is another", "0 2,3 * * *", "America/New_York", "2026-03-08 00:00:00 -0500", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-09 02:00:00 -0400"}},
		{"the beginning of a gap", "0 2 * * *", "America/New_York", "2026-03-08 00:00:00 -0500", []string{
			"2026-03-08 03:00:00 -0400", "2026-03-09 02:00:00 -0400"}},
		{"hourly over a gap", "30 * * * *", "America/New_York", "2026-03-08 00:45:00 -0500", []string{
			"2026-03-08 01:30:00 -0500", "2026-03-08 03:30:00 -0400", "2026-03-08 04:30:00 -0400"}},
		{"each second hour over a gap", "30 */2 * * *", "America/New_York", "2026-03-08 00:00:00 -0500", []string{
			"2026-03-08 00:30:00 -0500", "2026-03-08 03:00:00 -0400", "2026-03-08 04:30:00 -0400"}},
		{"daily in an hour that occurs twice", "30 1 * * *", "America/New_York", "2026-10-31 12:00:00 -0400", []string{
			"2026-11-01 01:30:00 -0400", "2026-11-02 01:30:00 -0500"}},
		{"daily, asked within the second pass", "30 1 * * *", "America/New_York", "2026-11-01 01:10:00 -0500", []string{
			"2026-11-02 01:30:00 -0500"}},
		{"daily, asked at the beginning of the second pass", "0 1 * * *", "America/New_York", "2026-11-01 01:00:00 -0400", []string{
			"2026-11-02 01:00:00 -0500"}},
		{"right after an hour that occurs twice", "0 2 * * *", "America/New_York", "2026-11-01 01:10:00 -0500", []string{
			"2026-11-01 02:00:00 -0500", "2026-11-02 02:00:00 -0500"}},
		{"hourly in an hour that occurs twice", "30 * * * *", "America/New_York", "2026-11-01 00:45:00 -0400", []string{
			"2026-11-01 01:30:00 -0400", "2026-11-01 01:30:00 -0500", "2026-11-01 02:30:00 -0500"}},
		{"@hourly in an hour that occurs twice", "@hourly", "America/New_York", "2026-11-01 00:45:00 -0400", []string{
			"2026-11-01 01:00:00 -0400", "2026-11-01 01:00:00 -0500", "2026-11-01 02:00:00 -0500"}},
		{"all hours by their names", "30 0-23 * * *", "America/New_York", "2026-11-01 00:45:00 -0400", []string{
			"2026-11-01 01:30:00 -0400", "2026-11-01 01:30:00 -0500", "2026-11-01 02:30:00 -0500"}},
		{"each second hour, which occurs twice", "30 */2 * * *", "Europe/Berlin", "2026-10-25 00:00:00 +0200", []string{
			"2026-10-25 00:30:00 +0200", "2026-10-25 02:30:00 +0200", "2026-10-25 02:30:00 +0100", "2026-10-25 04:30:00 +0100"}},
		{"a gap of half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00:00 +1030", []string{
			"2026-10-03 02:15:00 +1030", "2026-10-04 02:30:00 +1100", "2026-10-05 02:15:00 +1100"}},
		{"hourly over a gap of half an hour", "15 * * * *", "Australia/Lord_Howe", "2026-10-04 01:00:00 +1030", []string{
			"2026-10-04 01:15:00 +1030", "2026-10-04 02:30:00 +1100", "2026-10-04 03:15:00 +1100"}},
		{"half an hour that occurs twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00 +1100", []string{
			"2026-04-05 01:45:00 +1100", "2026-04-06 01:45:00 +1030"}},
		{"each quarter in half an hour that occurs twice", "*/15 * * * *", "Australia/Lord_Howe", "2026-04-05 01:20:00 +1100", []string{
			"2026-04-05 01:30:00 +1100", "2026-04-05 01:45:00 +1100", "2026-04-05 01:30:00 +1030", "2026-04-05 01:45:00 +1030",
			"2026-04-05 02:00:00 +1030"}},
		{"a gap at midnight", "0 0 * * *", "America/Sao_Paulo", "2018-11-02 23:00:00 -0300", []string{
			"2018-11-03 00:00:00 -0300", "2018-11-04 01:00:00 -0200", "2018-11-05 00:00:00 -0200"}},
		{"midnight that occurs twice", "30 23 * * *", "America/Sao_Paulo", "2018-02-17 12:00:00 -0200", []string{
			"2018-02-17 23:30:00 -0200", "2018-02-18 23:30:00 -0300"}},
		{"weekly in a gap at midnight", "@weekly", "America/Sao_Paulo", "2018-11-01 00:00:00 -0300", []string{
			"2018-11-04 01:00:00 -0200", "2018-11-11 00:00:00 -0200"}},
		{"winter time that is called summer time", "30 1 * * *", "Europe/Dublin", "2026-10-24 12:00:00 +0100", []string{
			"2026-10-25 01:30:00 +0100", "2026-10-26 01:30:00 +0000"}},
		{"a gap in Dublin", "30 1 * * *", "Europe/Dublin", "2026-03-28 12:00:00 +0000", []string{
			"2026-03-29 02:00:00 +0100", "2026-03-30 01:30:00 +0100"}},
		{"an offset of three quarters of an hour", "0 12 * * *", "Asia/Kathmandu", "2026-01-01 00:00:00 +0545", []string{
			"2026-01-01 12:00:00 +0545", "2026-01-02 12:00:00 +0545"}},
		{"the quarter of an hour that Nepal left out", "5 0 * * *", "Asia/Kathmandu", "1985-12-31 00:00:00 +0530", []string{
			"1985-12-31 00:05:00 +0530", "1986-01-01 00:15:00 +0545", "1986-01-02 00:05:00 +0545"}},
		{"a day that Samoa left out", "0 12 * * *", "Pacific/Apia", "2011-12-28 23:00:00 -1000", []string{
			"2011-12-29 12:00:00 -1000", "2011-12-31 00:00:00 +1400", "2011-12-31 12:00:00 +1400"}},
		{"yearly on a day that was left out", "0 12 30 12 *", "Pacific/Apia", "2011-01-01 00:00:00 -1000", []string{
			"2011-12-31 00:00:00 +1400", "2012-12-30 12:00:00 +1400"}},
		{"hourly over a day that was left out", "30 * * * *", "Pacific/Apia", "2011-12-29 23:00:00 -1000", []string{
			"2011-12-29 23:30:00 -1000", "2011-12-31 00:30:00 +1400"}},
		{"Ramadan begins", "30 2 * * *", "Africa/Casablanca", "2026-02-14 12:00:00 +0100", []string{
			"2026-02-15 02:30:00 +0100", "2026-02-16 02:30:00 +0000"}},
		{"Ramadan ends", "30 2 * * *", "Africa/Casablanca", "2026-03-21 12:00:00 +0000", []string{
			"2026-03-22 03:00:00 +0100", "2026-03-23 02:30:00 +0100"}},
		{"the last day of a leap year, beyond the table", "0 */6 * * *", "Europe/Berlin", "2096-12-30 20:00:00 +0100", []string{
			"2096-12-31 00:00:00 +0100", "2096-12-31 06:00:00 +0100", "2096-12-31 12:00:00 +0100", "2096-12-31 18:00:00 +0100",
			"2097-01-01 00:00:00 +0100"}},
		{"29 February over a year that is none", "0 0 29 2 *", "", "2096-01-01 00:00:00 +0000", []string{
			"2096-02-29 00:00:00 +0000", "2104-02-29 00:00:00 +0000"}},
		{"either day", "0 0 13 * 5", "", "2026-02-12 00:00:00 +0000", []string{
			"2026-02-13 00:00:00 +0000", "2026-02-20 00:00:00 +0000", "2026-02-27 00:00:00 +0000", "2026-03-06 00:00:00 +0000",
			"2026-03-13 00:00:00 +0000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			timing := newCron(t, c.expression, c.zone)
			after, err := time.Parse(wallLayout, c.after)
			require.NoError(t, err)
			zone, err := time.LoadLocation(c.zone)
			require.NoError(t, err)
			at := after.UnixMilli()
			var ticks []string
			for range c.ticks {
				var ok bool
				at, ok = timing.Next(at)
				require.True(t, ok)
				ticks = append(ticks, time.UnixMilli(at).In(zone).Format(wallLayout))
			}
			require.Equal(t, c.ticks, ticks)

			last, n := timing.Last(after.UnixMilli(), at)
			require.Equal(t, at, last)
			require.Equal(t, len(c.ticks), n)
		})
	}
}
