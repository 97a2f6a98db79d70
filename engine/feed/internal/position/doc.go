// Package position says how far a stream has been handled: the ID of its last handled message, and the checkpoint that
// keeps it beside the lease of the stream.
//
// It is passive and knows neither Redis nor leases.
package position
