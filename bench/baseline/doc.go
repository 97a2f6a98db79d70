// Package baseline owns data streams in the way that batching is compared with: a goroutine, a lock and an extension each
// half TTL for every stream. It reads the announcements that this library reads, from the same input stream, and takes each
// by a lock of go-redsync/redsync over redis/go-redis, with the settings that those two come with.
//
// It is an honest consumer of that kind, no caricature: one client with its pool of connections for all, no log, no metric,
// no second look at anything. It is not for use: a consumer that is cut off goes on believing, and nobody recovers
// what a dead one leaves.
package baseline
