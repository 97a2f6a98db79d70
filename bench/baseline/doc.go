// Package baseline owns data streams in the way with which batching is compared: every stream has a goroutine and a lock, which is
// extended every half TTL. It reads the same announcements as this library, from the same input stream, and takes each with a lock of
// go-redsync/redsync over redis/go-redis, with the default settings of both.
//
// It is a fair consumer of that kind: one client with its connection pool for all streams, and no logging, metrics or further checks.
// It is not for production: a consumer that is cut off goes on believing that it owns its streams, and nobody recovers the streams of a
// dead one.
package baseline
