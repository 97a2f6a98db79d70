// Package ticks measures what it costs to fire the ticks of schedules with engine/schedule, and how late they are, and compares both with what
// programs do by hand: a goroutine and a time.Ticker for each schedule in two processes, and a lock in Redis for each tick. It also measures what
// becomes of ticks where a process is drained or killed, how soon a change of a schedule is in force, and what it takes to declare schedules.
//
// Processes are those of package ticker. What they fired in a change of processes is checked by package fired.
package ticks
