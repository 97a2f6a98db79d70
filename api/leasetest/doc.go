// Package leasetest has a [Lease] for tests of handlers: to the code that holds
// it, it behaves as the engine's leases do, with no engine, no Redis and no
// goroutine of its own.
//
// Use it for an [api.Handler], a function for RunEach, and whatever else is
// given an [api.Lease]. A handler of messages is tested with
// engine/feed/feedtest, a task of a schedule with
// engine/schedule/scheduletest.
//
// A test makes a lease with [New], hands it to the code under test, with
// [Notify] or otherwise, decides what happens to it ([Lease.Lose],
// [Lease.Expire], [Lease.HandBack]), and examines how it ended
// ([Lease.Outcome]):
//
//	lease := leasetest.New("orders:7", leasetest.WithInfo(order{Customer: 12}))
//	err := leasetest.Notify(ctx, handler, api.Added, lease)
//	if err != nil || lease.Outcome().State != leasetest.Done {
//		t.Fatal(err, lease.Outcome())
//	}
//
// Methods of a [Lease] return the errors that [api.Lease] documents, such as
// [api.ErrNotHeld]. They may be called from several goroutines. Time is that of
// package time, so it is virtual inside a testing/synctest bubble; make the
// lease inside the bubble then.
//
// What a handler may rely on is in [docs/guarantees.md]. Whole services, with
// processes that die, are for engine/enginetest, a module of its own: see
// [docs/testing.md].
//
// [docs/testing.md]: https://github.com/streamlease/streamlease/blob/main/docs/testing.md
// [docs/guarantees.md]: https://github.com/streamlease/streamlease/blob/main/docs/guarantees.md
package leasetest
