// Package feedtest drives the handler of a feed in tests: with batches, failures, gaps, hand-backs and losses, without Redis.
//
// Use it for a [feed.Handler] and the hooks of a [feed.Config]; a handler of notifications is tested with api/leasetest. A test makes a
// [Feed], adds messages to streams, and owns one, which the handler then reads. An [Ownership] shows how far that has come, and ends it:
//
//	f := feedtest.New(handler, feed.Config{})
//	defer f.Close()
//	f.Add("account:7", feed.Field{Name: "amount", Value: "5"})
//	o := f.Own("account:7")
//	synctest.Wait() // in a bubble of testing/synctest
//	if o.State() != "5" {
//		t.Fatal(o.State(), o.Err())
//	}
//	o.Release() // the next f.Own goes on there
//	<-o.Ended()
//
// What runs is the feed itself, with everything that it does about order, retries, positions and endings. Only what is below it is
// replaced: streams are kept in memory, and leases are those of package leasetest. Time is that of package time, so in a bubble of
// testing/synctest it is virtual, and synctest.Wait waits until handlers have done what they can. Make and close the feed inside the
// bubble then.
//
// Nothing here returns an error: what a test does wrong panics. What a handler may return, and what comes of it, is in
// [docs/messages.md]. Several processes, crashes and failovers are for engine/enginetest, a module of its own: see [docs/testing.md].
//
// [docs/testing.md]: https://github.com/streamlease/streamlease/blob/main/docs/testing.md
// [docs/messages.md]: https://github.com/streamlease/streamlease/blob/main/docs/messages.md
package feedtest
