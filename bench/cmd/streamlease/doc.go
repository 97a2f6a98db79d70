// Command streamlease shows operators what a service of streamlease does, and changes it: who owns which stream and why it does not
// move, what waits, what failed, how even the fleet is; and delayed announcements, dead letters, schedules, wishes, and whole services.
//
// One file has one subcommand, or a group of them. They run on a call, which has the connection and what the command line said, and
// write through a printer, which has no name reach the terminal unescaped.
package main
