package timing

import (
	"math"
	"time"
)

// farthest is the most by which a change moves a clock: a day, across the date line, and some hours. Seconds.
const farthest = 28 * hour

// span is a time in which a zone keeps its offset, or a part of one: [start, end). Seconds.
type span struct{ start, end, offset int64 }

// spanAt returns the span around a time.
func spanAt(zone *time.Location, at int64) span {
	if zone == time.UTC {
		return span{math.MinInt64, math.MaxInt64, 0}
	}
	t := time.Unix(at, 0).In(zone)
	_, offset := t.Zone()
	s := span{math.MinInt64, math.MaxInt64, int64(offset)}
	start, end := t.ZoneBounds()
	if !start.IsZero() {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= at {
		// Where a rule goes on beyond the table of a zone, package time takes each year for 365 days, so it says of 31 December in a
		// leap year that the span has ended.
		s.end = (div(at, day) + 1) * day
		if _, last := time.Unix(s.end-1, 0).In(zone).Zone(); last != offset {
			s.end = at + 1
		}
	}
	return s
}
