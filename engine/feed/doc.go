// Package feed reads the messages of the Redis streams that this process owns, and hands them to a handler in order: 10,000 to
// 100,000 streams in one process, over one connection to each master.
//
// Use it where the streams that an engine owns are Redis streams with messages. Where they stand for something else, such as a job or
// a connection, use [engine.Engine.RunEach] alone; for what is due at times, package engine/schedule. [docs/messages.md] has whole
// programs, and patterns: folding a stream into state, writing to a database once, passing over bad messages.
//
//	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "orders")
//	if err != nil {
//		return err
//	}
//	f, err := feed.New(e, func(ctx context.Context, b *feed.Batch) error {
//		for _, m := range b.Messages {
//			if err := book(ctx, b.Lease.Token(), m); err != nil {
//				return err // the messages come again
//			}
//		}
//		return nil // all of them are handled
//	}, feed.Config{})
//	if err != nil {
//		return err
//	}
//	return f.Run(ctx) // runs the engine, too
//
// # What comes first
//
// [New] makes a [Feed] of an engine, a [Handler] and a [Config], whose zero value is fine; [Feed.Run] takes the place of the engine's
// Run. The handler gets a [Batch] of one stream, with each [Message] in order, with the lease. What it returns decides what becomes of them: see
// [Handler], [Finish] and [At]. [Batch.SaveState] keeps state that was folded from the messages together with the position,
// [Batch.Keep] lets work go on after the handler has returned. [Feed.Stats] and [Feed.Lag] show how far a feed is behind.
//
// A producer in Go uses a [Sender]: it adds a message and announces the stream if nobody owns it. In other languages that is an XADD and
// an announcement ([docs/producing.md]).
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
// Ask the lease's Remaining before an effect, or send the token along ([docs/fencing.md]).
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
// # Errors
//
// Those of [New] match [api.ErrInvalidConfig]. [Feed.Run] returns what [engine.Engine.Run] does, or [ErrTrackingRefused] if Mode is
// Tracking and a server refuses that: grant the command, or use Auto. [Sender.Send] returns [ErrNotAnnounced] if the message is there and
// its stream may have no owner: announce the stream again, and do not send the message again. With [ErrMaybeAdded] it is not known
// whether the message is there: sending it again may add it twice. [Batch.SaveState] returns [ErrTooLate] after the end of its batch.
// [Finish] is no failure: a handler returns it.
//
// Handlers of different streams run in parallel; a [Feed], a [Pending] and a [Sender] may be used by any goroutine. Package feedtest drives
// a handler in tests, without Redis.
//
// [docs/messages.md]: https://github.com/streamlease/streamlease/blob/main/docs/messages.md
// [docs/producing.md]: https://github.com/streamlease/streamlease/blob/main/docs/producing.md
// [docs/fencing.md]: https://github.com/streamlease/streamlease/blob/main/docs/fencing.md
package feed
