package console

import (
	"context"
	"time"
)

// Schedules are the schedules of a service, as the console reads them. engine/schedule/scheduleview.New makes one of a
// schedule.Table. They are called by several goroutines.
type Schedules interface {
	// Page returns some schedules from a cursor on, "" for the beginning, and the cursor of the next page, "" at the end. It returns
	// about count.
	Page(ctx context.Context, cursor string, count int) (page []Schedule, next string, err error)

	// Get returns one schedule by its name. An error that wraps ErrNoSchedule means that there is none.
	Get(ctx context.Context, name string) (Schedule, error)
}

// Schedule is one schedule at one moment. Times are by the server's clock; zero: there is none.
type Schedule struct {
	Name   string
	When   string // in words: "every 5m0s", or a cron expression and its zone
	Last   time.Time
	Next   time.Time
	Missed int    // ticks that were skipped since the last one
	Owner  string // the consumer that owns it, "" if nobody does
	Paused bool
	Note   string // why it is paused

	Triggered  bool   // a tick was asked for that is not known to have been fired
	DeadLetter bool   // its announcement became a dead letter, so that nobody owns it
	State      string // what its task keeps; may be anything
	Err        string // why it does not tick, or why some of this is not known
}
