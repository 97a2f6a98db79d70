package scan

import (
	"time"

	"github.com/streamlease/streamlease/lease"
)

// year10000 begins, in ms since 1970, where times end that JSON can have.
const year10000 = 253402300800000

// momentOf returns a time in ms since 1970; zero for one that is none, or that cannot be written as other times are.
func momentOf(ms float64) (at time.Time) {
	if ms > 0 && ms < year10000-86_400_000 { // in any zone
		at = time.UnixMilli(int64(ms))
	}
	return at
}

// dueAt returns the time of a score. One that cannot be written as other times are is as far as those go.
func dueAt(score float64) time.Time {
	switch {
	case score <= 0:
		return time.Time{}
	case score >= year10000:
		return time.UnixMilli(year10000 - 1).UTC()
	}
	return time.UnixMilli(int64(score))
}

// announcedAt returns when an entry was added, by its ID.
func announcedAt(id string) time.Time {
	ms, _ := lease.ParseID(id)
	return momentOf(float64(ms))
}
