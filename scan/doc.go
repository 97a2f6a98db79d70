// Package scan finds what dead consumers left behind and queues it again, and keeps the dead letters.
//
// A consumer is dead when its session is there and past its deadline. What is pending for it is queued again entry by
// entry, and its leases are freed with their entries, so that nobody waits for a TTL. An entry whose owner crashed is
// put off for a growing time; one that failed too often becomes a dead letter, and so does one whose owners crashed too
// often, if it stands out from all that died with it (Config.Convict). Dead letters can be listed and sent back.
//
// In the steady state a look costs one round trip a partition, however much is pending: only consumers whose session
// is past, or that have none, are looked at more closely. Nothing here shares a connection, a lock or a budget with
// the renewal of leases.
package scan
