// Package scheduleview shows the schedules of a table on the operators' page:
//
//	console.New(client, "chat", console.WithSchedules(scheduleview.New(table)))
package scheduleview
