// Package api is the vocabulary of streamlease: what a program that owns
// streams receives ([Notification], [Lease]), what it implements ([Handler]),
// what it announces ([Announcement]), and the errors it has to tell apart.
//
// It knows neither Redis nor the engine and imports only the standard
// library, so code that handles streams can be written and tested against this
// package alone. Package leasetest has a [Lease] for such tests; package engine
// runs a Handler for real. A handler of the messages of streams is written
// against package engine/feed instead, one of ticks against engine/schedule.
//
// # What comes first
//
// A [Handler], often made of [Funcs], is called with a [Notification] of some
// [Kind]. [Added] brings a [Lease]: this process owns the stream. The handler
// starts the work and returns, and the lease is renewed until it ends:
//
//	var handler = api.Funcs{
//		Added: func(ctx context.Context, n api.Notification) error {
//			info, err := api.DecodeInfo[job](n.Lease)
//			if err != nil {
//				return err // no retry helps: dead-lettered
//			}
//			go work(ctx, n.Lease, info) // ctx ends with the lease
//			return nil
//		},
//		Releasing: func(_ context.Context, n api.Notification) error {
//			return save(n.Lease) // still owned; handed back after this
//		},
//	}
//
// The work ends the lease: [Lease.Done] when it is finished, [Lease.Release] to
// hand the stream back, [Lease.Fail] to have it tried again. Before each effect that must not
// happen twice it asks [Lease.Remaining], and it sends the [Token] along
// ([docs/fencing.md]). Where it has come is a checkpoint of the lease
// ([docs/checkpoints.md]). [Permanent] and [Snooze] make errors that say more
// than "try again".
//
// [Event] is about the engine itself, not about a stream; no program has to act
// on one.
//
// # Errors
//
// Compare them with errors.Is: they come wrapped, and several match a more
// general one. Each documents when it is returned and what to do;
// [docs/troubleshooting.md] begins with what one sees.
//
//   - [ErrLeaseLost]: somebody else may own the stream: stop, write nothing
//     more. [ErrSessionLost], [ErrReannounced] and [ErrOutcomeUnknown] match it.
//     So does [ErrAnnouncementLost], the only one after which the stream has to
//     be published again.
//   - [ErrNotHeld]: the lease had ended before the call, or you ended it.
//     Nothing to do. [ErrNotShut]: DoneIfShut left the lease held.
//   - [ErrReleasing], as [ErrDraining] or [ErrRebalanced]: the stream is handed
//     back. Stop; no retry is counted.
//   - [ErrCheckpointTooLong], [ErrNoCheckpoints]: the checkpoint was not stored.
//   - [ErrStarted], [ErrClosed], [ErrLockHeld], [ErrNotReady]: about the life of
//     an engine. [ErrDrainTimeout]: other consumers recover what it did not
//     hand back. [ErrNotHandedBack]: somebody moved or deleted announcements by
//     hand; look at the backlog.
//   - [ErrInvalidConfig], [ErrInvalidStream], [ErrTooLarge]: the program asked
//     for something that is out of range. The message names the remedy.
//   - [ErrHeldElsewhere], [ErrNotAnnounced]: there is nothing to requeue.
//   - [ErrPartitionMismatch], [ErrFormat], [ErrServiceStopped],
//     [ErrNoAgreement], [ErrForeignConsumers], [ErrUnsupportedServer],
//     [ErrNotRedis], [ErrMissingRights]: what is in Redis does not allow it. An
//     operator has to act ([docs/operations.md]).
//   - [ErrGoexit]: a handler ended its goroutine; see [PanicError].
//
// # Concurrency
//
// All methods of a [Lease] may be called from several goroutines. A Handler is
// called from several at once, for one stream from one at a time. Values that
// are shared ([Lease.Info], payloads, events) must not be changed.
//
// What is guaranteed, and what is not, is in [docs/guarantees.md].
//
// [docs/fencing.md]: https://github.com/streamlease/streamlease/blob/main/docs/fencing.md
// [docs/checkpoints.md]: https://github.com/streamlease/streamlease/blob/main/docs/checkpoints.md
// [docs/troubleshooting.md]: https://github.com/streamlease/streamlease/blob/main/docs/troubleshooting.md
// [docs/operations.md]: https://github.com/streamlease/streamlease/blob/main/docs/operations.md
// [docs/guarantees.md]: https://github.com/streamlease/streamlease/blob/main/docs/guarantees.md
package api
