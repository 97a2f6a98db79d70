// Package balance measures how a fleet of processes comes to even shares of long-lived streams, and what that costs: when processes are
// added, drained, killed, and replaced one by one, when nothing happens, and for a stream that is announced.
//
// A scene is a server and the processes on it, which note in journals what they own. What is reported is computed from the journals
// afterwards (history), on the clock that all of them share; while a part runs, processes are only asked how many streams they hold.
package balance
