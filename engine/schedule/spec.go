package schedule

import (
	"math"
	"time"
)

// Bounds of a [Spec].
const (
	MinEvery = 100 * time.Millisecond
	MaxEvery = 10 * 365 * 24 * time.Hour
	// MaxSpec is the most that a spec may take in Redis, in bytes, with its Info and without its name.
	MaxSpec = 64 << 10
	// MaxNote is the greatest length of the note of a pause, in bytes.
	MaxNote = 1024
)

// Aligned is the Offset of a schedule whose ticks are multiples of Every since 1970: with Every 1 h, each full hour. All that are aligned are
// due at the same time.
const Aligned time.Duration = math.MaxInt64

// First is what the first tick of a schedule is.
type First uint8

const (
	// FirstDefault is Soon with Every, and OnGrid with Cron.
	FirstDefault First = iota
	// Soon has a first tick within the shorter of Every and 10 s after the schedule was created (or, if it had none until then, edited or
	// resumed): one off the grid, at a time that its name decides, unless the grid has one by then.
	Soon
	// OnGrid fires none but those of the grid.
	OnGrid
)

// Missed is what becomes of ticks whose time has passed while nobody could fire them: the fleet was down, a process was paused, or
// its successor had not begun.
type Missed uint8

const (
	// Latest fires the last one of them, whose Tick.Missed is the number of the others.
	Latest Missed = iota
	// Skip fires none of them, unless it is less than a second late. The next tick's Missed counts them.
	Skip
)

// Spec says when a schedule has ticks. Either Every or Cron is set.
type Spec struct {
	// Name is the schedule: the name of the data stream that stands for it, so within the limits of those (engine.WithLimits). Required.
	Name string

	// Every is the interval, from 100 ms to 10 years, in whole milliseconds. Ticks are due at Offset + k·Every since 1970 by the server's
	// clock.
	Every time.Duration

	// Cron is a cron expression of five fields (minute, hour, day of month, month, day of week), or one of @yearly, @monthly,
	// @weekly, @daily and @hourly. Seconds are not offered: use Every. See [Spec.Next] for what daylight saving time does.
	Cron string
	// Zone is the IANA zone in which Cron is meant, such as "Europe/Berlin". "" is UTC. Every process needs the same zone database:
	// import time/tzdata, so that it is part of the program.
	Zone string

	// Offset is when on the grid of Every the ticks are, below Every, in whole milliseconds: with Every 1 h and Offset 5 min, five
	// minutes past each full hour. Zero and negative: the name decides, which spreads schedules evenly. Aligned is no offset at all.
	Offset time.Duration

	// Start and End bound the times of ticks: none is before Start or at or after End. Zero: no bound. They count in milliseconds.
	Start, End time.Time

	// First is what the first tick is. Zero: Soon with Every, OnGrid with Cron.
	First First
	// Missed is what becomes of missed ticks. Zero: Latest.
	Missed Missed
	// Window is how late a missed tick may start; one that would be later is skipped and counted. From 1 s. Zero: until the next is due
	// with Every, one day with Cron.
	Window time.Duration

	// Info is for the task: anything that encodes to JSON. A Spec that was read back has it as a json.RawMessage; see [DecodeInfo].
	Info any
}
