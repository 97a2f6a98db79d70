// Package journal is what a process owned, from when until when, in a file that is mapped into memory: it outlives a
// SIGKILL of the process, and others can read it while the process runs. Times are on a clock that all processes of one
// machine share, so that package overlap can hold the journals of several against each other.
//
// A process notes an ownership when it is told of it, and then again and again that it lasts, by looking at its own
// leases.
package journal
