// Package baseline has the ways with which this library is compared. Client owns data streams, Blocking reads them.
//
// Client owns data streams in the way with which batching is compared: every stream has a goroutine and a lock, which is
// extended every half TTL. It reads the same announcements as this library, from the same input stream, and takes each with a lock of
// go-redsync/redsync over redis/go-redis, with the default settings of both.
//
// It is a fair consumer of that kind: one client with its connection pool for all streams, and no logging, metrics or further checks.
// It is not for production: a consumer that is cut off goes on believing that it owns its streams, and nobody recovers the streams of a
// dead one.
//
// Blocking has a goroutine and a connection of redis/go-redis for each stream, which waits in XREAD BLOCK. It owns nothing and keeps no
// checkpoints, so what it costs is reading alone.
package baseline
