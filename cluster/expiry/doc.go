// Package expiry watches for leases that expire, by the keyspace notifications of every server that a client knows.
//
// A [Watcher] subscribes to replicas, too: they report nothing, and are heard from the first moment when they are promoted,
// while a master that is demoted falls silent. It has one goroutine of its own and one for each server, each with a connection of its
// own, so that a server that hangs, or was killed and is still in the client's list, delays no other subscription.
//
// Notifications are hints. Redis sends each at most once, a subscription that was cut off misses what came meanwhile, and anybody
// who may PUBLISH can forge them, as fast as they like. So a key that is no lease of the service is dropped before it costs
// more than a look, what waits is bounded, and nothing waits for the watcher.
//
// It is for this module and may change in any version.
package expiry
