// Package scheduletest drives the task of a schedule through virtual time in tests: a month in milliseconds, with deploys, crashes, pauses, edits
// and clocks that step, without Redis.
//
//	s, err := scheduletest.New(schedule.Spec{Name: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin"}, open, start)
//	s.Run(24 * time.Hour)
//	s.Kill() // what was not stored yet is lost
//	s.Run(time.Hour)
//	s.Own()
//	s.Run(30 * 24 * time.Hour)
//	for _, f := range s.Fired() { … }
//
// When ticks are due, which are missed and what is stored of them is decided by the code that decides it in production. Tasks are called
// by the goroutine of the test, one after the other; a task that takes time says so by Schedule.Takes.
package scheduletest
