// Package api is the vocabulary of streamlease: what a program that owns
// streams receives ([Notification], [Lease]), what it implements ([Handler]),
// what it announces ([Announcement]), and the errors it has to tell apart.
//
// It knows neither Redis nor the engine and imports only the standard
// library, so code that handles streams can be written and tested against this
// package alone; package leasetest has a [Lease] for such tests.
package api
