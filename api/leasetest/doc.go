// Package leasetest has a [Lease] for tests of handlers: it behaves as the
// engine's leases do towards the code that holds them, with no engine, no
// Redis and no goroutine of its own.
//
// A test makes a lease with [New], hands it to the code under test, by
// [Notify] or otherwise, makes happen to it what it likes ([Lease.Lose],
// [Lease.Expire], [Lease.HandBack]), and looks at how it ended
// ([Lease.Outcome]). Time is that of package time, so inside a testing/synctest
// bubble it is virtual; make the lease inside the bubble then.
package leasetest
