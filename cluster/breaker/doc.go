// Package breaker is a circuit breaker: it keeps work that can wait away from nodes that are down.
//
//	         failures in a row             the wait is over
//	closed ---------------------> open ----------------------> half open
//	  ^                            ^  ^                         |  |
//	  |                            |  +------ it fails ---------+  |
//	  +- it succeeds, or other work shows that the node is up -----+
//
// While a breaker is half open, a few attempts are allowed, one by default. Work that must not wait, such as renewal, does not ask,
// but reports when the node answers: a beat every second is a better probe than any that this package could make, and
// closes a breaker at once. No library at hand does that: theirs are opened and closed only by the work that they allow.
//
// Programs need a [Config] at most, for engine.WithBreaker; Validate returns an error that matches [api.ErrInvalidConfig]. All other names
// are for this module and may change in any version.
package breaker
