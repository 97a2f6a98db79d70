// Package ticker is a process that fires ticks of schedules, for those who measure and who check that: with engine/schedule, or as programs do
// it by hand, with a goroutine and a time.Ticker for each schedule and a lock in Redis for each tick.
package ticker
