// Package timing computes when a schedule has ticks. It is pure: it reads no clock, starts nothing and waits for nothing. All times are
// milliseconds since 1970.
//
// A [Timing] is either an interval or a cron expression. The ticks of an interval are points of a grid, phase + k·every, so they are
// found and counted by division. Those of a cron expression are read off the wall clock of a zone:
//
//   - An expression has five fields: minute, hour, day of month, month, day of week. If both days are restricted, either is enough.
//     A day field that is "*" restricts nothing; "*/2" does.
//   - A wall time that a change of the clock leaves out (a gap) stands for the first instant after the gap. Several of one expression in one
//     gap are one tick.
//   - Of a wall time that occurs twice, the first occurrence counts.
//   - An expression whose hour field begins with "*", or names each hour, follows elapsed time: it fires in both passes of an hour that
//     occurs twice. If it names each hour, a gap of whole hours leaves nothing out: half past two becomes half past three, which is there anyway.
//
// robfig/cron parses expressions, behind checks of what it misreads. It does not evaluate them: it skips what a gap leaves out, fires twice what
// occurs twice, and finds no 29 February over the end of a century.
package timing
