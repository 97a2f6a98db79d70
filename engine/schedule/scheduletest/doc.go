// Package scheduletest drives the task of a schedule through virtual time in tests: a month in milliseconds, with deploys, crashes, pauses, edits
// and clocks that step, without Redis.
//
// Use it for what a task does at its ticks, across deploys and failures. A single tick is made by schedule.NewTick, and what is around it
// tested with api/leasetest. [New] puts a schedule that is owned at once, [Schedule.Run] has time pass, other methods are what may happen to it,
// and [Schedule.Fired] returns what came of it:
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
// by the goroutine of the test, one after the other; a task that takes time says so by Schedule.Takes. So nothing here may be called by
// several goroutines, and no bubble of testing/synctest is needed.
//
// [New] returns an error that matches [schedule.ErrSpec] for a spec that Put would refuse, or that of open. What holds for ticks in production
// is in [docs/schedules.md]. Several processes, crashes and failovers are for engine/enginetest, a module of its own: see [docs/testing.md].
//
// [docs/testing.md]: https://github.com/streamlease/streamlease/blob/main/docs/testing.md
// [docs/schedules.md]: https://github.com/streamlease/streamlease/blob/main/docs/schedules.md
package scheduletest
