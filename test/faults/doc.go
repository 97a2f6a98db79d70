// Package faults injects faults into engines that run on real servers: links that stall and break, answers that get
// lost, a process that stands still, keys that vanish or are not what they should be, a server that is full, restarts,
// forgets or refuses. Each test says in its comment what happens then.
//
// What parties believe of themselves is recorded from their own leases and compared by package overlap. Nothing here
// asserts how long something took, but for deadlines, which are the point.
package faults
