// Package faults injects faults into engines that run on real servers: links that stall and break, lost replies, a stopped
// process, keys that vanish or have the wrong type, a server that is full, restarts, forgets or refuses. The comment of each test
// says what happens then.
//
// What members believe they own is recorded from their own leases and compared by package overlap. Nothing here asserts how
// long something took, except for deadlines, which are the point.
package faults
