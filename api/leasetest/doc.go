// Package leasetest has a [Lease] for tests of handlers: to the code that holds
// it, it behaves as the engine's leases do, with no engine, no Redis and no
// goroutine of its own.
//
// A test makes a lease with [New], hands it to the code under test, with
// [Notify] or otherwise, decides what happens to it ([Lease.Lose],
// [Lease.Expire], [Lease.HandBack]), and examines how it ended
// ([Lease.Outcome]). Time is that of package time, so it is virtual inside a
// testing/synctest bubble; make the lease inside the bubble then.
package leasetest
