// Package feedtest drives the handler of a feed in tests: with batches, failures, gaps, hand-backs and losses, without Redis.
//
// What runs is the feed itself, with everything that it does about order, retries, positions and endings. Only what is below it is
// replaced: streams are kept in memory, and leases are those of package leasetest. Time is that of package time, so in a bubble of
// testing/synctest it is virtual, and synctest.Wait waits until handlers have done what they can.
package feedtest
