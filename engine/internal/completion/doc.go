// Package completion ends the ownership of entries in Redis.
//
// Owners end a lease with Done, Fail or Release. The engine requeues the entries of leases that it lost, entries that were read and
// cannot be owned here, and all that is pending for a session that is over, which retires then. Each of these is a
// completion: one entry, and its disposition.
//
// # What a completion goes through
//
//	accepted ──▶ queued ──▶ sent ──▶ settled
//	               ▲          │
//	               │          ├──▶ no answer: sent again; the outcome is unknown until one says so
//	               │          ├──▶ refused: set apart, and retried at a time of its own with growing delays
//	               └──────────┴──▶ tampered with: sent again as one to be restored
//
// A batch that is refused as a whole is halved until the entry to blame is alone. An entry that is refused [lease.MoveTries] times for
// what it is becomes a dead letter that refers to it. So no entry holds up others, and none is ever dropped: a completion is
// settled by an answer of Redis, or by Stop, which leaves the entry pending for others to recover.
//
// # Goroutines
//
// A work queue runs the completions of a partition one batch at a time, and then goes on with the sessions that retire there. Accepting a
// completion never blocks.
package completion
