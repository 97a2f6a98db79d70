package timing

import (
	"math/bits"
	"time"
)

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour

	everyHour = 1<<24 - 1
)

// expression is the fields of a cron expression: bit i of a field is value i. Times are seconds on a wall clock, counted as if it were
// that of UTC.
type expression struct {
	minutes, hours, days, months, weekdays uint64

	either  bool // both days are restricted: one of them is enough
	anyHour bool // the hour field begins with "*", or names each hour
}

// gap bounds how many months may lie between two days that match: from 29 February 2096 to that of 2104 are 96.
const gap = 100

// next returns the first time after another one that matches. It reports false if none ever does.
func (e *expression) next(after int64) (int64, bool) {
	first := div(after, minute) + 1 // in minutes
	date := time.Unix(first*minute, 0).UTC()
	year, month, d := date.Date()
	days := e.daysOf(year, month) >> d << d
	if days>>d&1 != 0 {
		if at, ok := e.timeOfDay(date.Hour(), date.Minute()); ok {
			return div(first*minute, day)*day + at, true
		}
		days &^= 1 << d
	}
	for range gap {
		if days != 0 {
			midnight := time.Date(year, month, bits.TrailingZeros64(days), 0, 0, 0, 0, time.UTC).Unix()
			at, _ := e.timeOfDay(0, 0)
			return midnight + at, true
		}
		if month++; month > time.December {
			year, month = year+1, time.January
		}
		days = e.daysOf(year, month)
	}
	return 0, false
}

// count returns how many times match after from and not after to. It computes a month at a time.
func (e *expression) count(from, to int64) (n int) {
	if to <= from {
		return 0
	}
	year, month, passed := e.passed(from)
	endYear, endMonth, end := e.passed(to)
	for n = end - passed; year < endYear || month < endMonth; {
		n += bits.OnesCount64(e.daysOf(year, month)) * e.perDay()
		if month++; month > time.December {
			year, month = year+1, time.January
		}
	}
	return n
}

// passed returns the month of a time, and how many times in it match and are not later.
func (e *expression) passed(at int64) (year int, month time.Month, n int) {
	date := time.Unix(at, 0).UTC()
	year, month, d := date.Date()
	days := e.daysOf(year, month)
	n = bits.OnesCount64(days&(1<<d-1)) * e.perDay()
	if days>>d&1 == 0 {
		return year, month, n
	}
	h, m := date.Hour(), date.Minute()
	n += bits.OnesCount64(e.hours&(1<<h-1)) * bits.OnesCount64(e.minutes)
	if e.hours>>h&1 != 0 {
		n += bits.OnesCount64(e.minutes & (2<<m - 1))
	}
	return year, month, n
}

// perDay returns how many times of a day match.
func (e *expression) perDay() int { return bits.OnesCount64(e.hours) * bits.OnesCount64(e.minutes) }

// daysOf returns the days of a month that match.
func (e *expression) daysOf(year int, month time.Month) uint64 {
	if e.months>>month&1 == 0 {
		return 0
	}
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Weekday()
	// The weekdays six times in a row, from that of the first day on.
	byWeekday := e.weekdays * (1 | 1<<7 | 1<<14 | 1<<21 | 1<<28 | 1<<35) >> first << 1
	days := e.days & byWeekday
	if e.either {
		days = e.days | byWeekday
	}
	return days & (1<<(lengthOf(year, month)+1) - 2)
}

func lengthOf(year int, month time.Month) int {
	switch month {
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	}
	return 31
}

// timeOfDay returns the first time of a day that matches and is not before h:m, in seconds from midnight. It reports false if there is none.
func (e *expression) timeOfDay(h, m int) (int64, bool) {
	if minutes := e.minutes >> m; minutes != 0 && e.hours>>h&1 != 0 {
		return int64(h)*hour + int64(m+bits.TrailingZeros64(minutes))*minute, true
	}
	hours := e.hours >> (h + 1)
	if hours == 0 {
		return 0, false
	}
	return int64(h+1+bits.TrailingZeros64(hours))*hour + int64(bits.TrailingZeros64(e.minutes))*minute, true
}
