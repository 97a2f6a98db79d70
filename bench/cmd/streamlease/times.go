package main

import (
	"fmt"
	"strconv"
	"time"
)

// span returns a length of time in the two units that matter: 340 ms, 12 s, 3 m 12 s, 2 h 5 m, 3 d 4 h.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-d)
	}
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d m %d s", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d m", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/(24*3600), s/3600%24)
}

// waited is span for how long something has been waiting: a dash where nothing is.
func waited(d time.Duration) string {
	if d <= 0 {
		return dash
	}
	return span(d)
}

// dash stands for what there is not.
const dash = "-"

// moment returns a time as a person reads it: how long ago or ahead of now it is, and what clocks of this machine show then.
func moment(t, now time.Time) string {
	if t.IsZero() {
		return dash
	}
	return relative(t, now) + " (" + local(t, now) + ")"
}

// relative returns how long ago or ahead of now a time is.
func relative(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return dash
	case d >= 0:
		return span(d) + " ago"
	default:
		return "in " + span(-d)
	}
}

// local returns a time in the zone of this machine, with the date unless that is the one of now.
func local(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// stamp is a time in JSON: RFC 3339 in UTC, null where there is none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// seconds is a length of time in JSON.
func seconds(d time.Duration) float64 { return d.Seconds() }

// relativeTo is relative for a time of JSON.
func relativeTo(t *time.Time, now time.Time) string {
	if t == nil {
		return dash
	}
	return relative(*t, now)
}
