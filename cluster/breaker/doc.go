// Package breaker keeps work that can wait off nodes that are down.
//
//	        5 failures in a row            the wait is over
//	closed ---------------------> open ----------------------> half open
//	  ^                            ^  ^                         |  |
//	  |                            |  +------ it fails ---------+  |
//	  +---- it works, or other work shows that the node is up -----+
//
// While it is half open one attempt at a time is let through. Work that must not wait, as renewal, does not ask, and tells
// when the node answers: a beat every second is a better probe than any that this package could make, and closes a breaker
// at once. That is why no library does: those at hand are opened and closed by the work alone that they let through.
package breaker
