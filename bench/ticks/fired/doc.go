// Package fired checks what processes did that fire ticks of schedules. Each process notes each tick that it fired, with token and time, in a
// file that outlives it (Log, Notes). Whoever runs the processes notes what it changed about the schedules, and which troubles struck
// (Change, Trouble). Audit compares the three.
package fired
