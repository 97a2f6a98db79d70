// Package scheduleview shows the schedules of a table on the operators' page of package console:
//
//	table, err := schedule.NewTable(client, "chat")
//	if err != nil {
//		return err
//	}
//	mux.Handle("/streamlease/", console.New(client, "chat", console.WithSchedules(scheduleview.New(table))))
//
// Use it in programs that mount a console for a service with schedules; without it the page says how to have them. Programs that show
// schedules in a way of their own use schedule.Table. It changes nothing, starts nothing, and may be used by several goroutines.
//
// Errors are those of [schedule.Table], [console.ErrNoSchedule] for a name that no schedule has. See [docs/console.md].
//
// [docs/console.md]: https://github.com/streamlease/streamlease/blob/main/docs/console.md
package scheduleview
