// Command uptime watches web sites and ports: an uptime monitor for a fleet of processes, and an example of package schedule. Each monitor
// is a schedule, and each check is a tick. Start as many processes as you like, with the same flags; one of them also shows the page:
//
//	uptime -monitors monitors.json -webhook https://chat.example.com/hook -listen localhost:8080 -db uptime.db
//	uptime
//
// The files, one job each: monitor.go is what to watch, check.go looks at a target, state.go decides between up and down, network.go finds
// that it is this process which is offline, alert.go tells people, and task.go joins these to the handler of a tick. Every check leaves a
// report in a Redis stream (report.go), which one process writes to SQLite (recorder.go, history.go). That process also serves the page
// (page.go, rows.go, overview.go, events.go).
package main
