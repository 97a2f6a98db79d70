// Package journal records what a process owned, and from when until when, in a file that is mapped into memory: it survives
// a SIGKILL of the process, and other processes can read it meanwhile. Times are on a clock that all processes of a machine
// share, so that package overlap can compare several journals.
//
// A process notes an ownership when it gets it, and then keeps extending the note by looking at its own leases.
package journal
