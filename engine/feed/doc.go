// Package feed reads the messages of the Redis streams that this process owns, and hands them to a handler in order: 10,000 to
// 100,000 streams in one process, over one connection to each master.
//
//	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "orders")
//	f, err := feed.New(e, func(ctx context.Context, b *feed.Batch) error {
//		for _, m := range b.Messages {
//			…
//		}
//		return nil
//	}, feed.Config{})
//	err = f.Run(ctx)
//
// # What holds
//
//   - Order. A stream has one batch at a time, and each begins where the one before ended. Different streams are handled in parallel,
//     on Config.Workers goroutines; no other goroutine depends on their number.
//   - At least once. The position of a stream, which is the ID of its last handled message, is stored in Redis once a second, with
//     every ending of an ownership, and under the fence of the lease: an owner that lost the stream cannot move it. After a
//     hand-back in order nothing comes again; after a crash, what was handled since the position was last stored. The token
//     of the lease and the ID of a message tell whoever stores effects what it has seen already.
//   - No gap. A position never moves past a message that was neither handled nor passed over by Skip. Where messages are lost before
//     they are read, or a failover has forgotten some, OnGap says so.
//   - Bounds. Config.MaxBytes bounds the memory of messages. A stream that waits for its handler is not read.
//
// What does not hold: two owners never exist, but an owner whose process was paused may still be working when the next one begins.
// Ask the lease's Remaining before an effect, or send the token along (see docs/fencing.md).
//
// # How it reads
//
// Redis tells the client which streams were written to since it read them (CLIENT TRACKING), so that a stream at rest costs nothing,
// and a message that comes alone is with its handler after two round trips. Where a server refuses that, streams are polled. Every stream is also read
// once a minute, or less often where there are more than 30,000 (Config.Sweep), whatever happens. [Preflight] shows before a deployment
// whether servers and rights are as a feed needs them.
//
// # Failures
//
// An error from the handler brings the same messages again, one at a time, after a delay that grows, while other streams go on. After
// Config.MaxRetries the stream fails, or the message is skipped. See [Handler] for all that a handler can return.
//
// Package feedtest drives a handler in tests, without Redis.
package feed
