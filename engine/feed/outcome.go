package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
)

// Handler handles the messages of one batch. It is called on a worker: for one stream with one batch at a time, in the order of the
// stream; for different streams in parallel.
//
// ctx ends with the lease, before another consumer can get the stream. Ask Lease.Remaining before an effect that must not happen
// twice, or send the lease's token along with it. What the handler returns decides about the batch:
//
//   - nil: all messages are handled. The ID of the last one is the position of the stream, which is stored within CheckpointEvery,
//     and with the end of the ownership.
//   - [Finish]: as nil, and the stream is done.
//   - [At]: the messages before that one are handled, and that one cannot be: OnFailure applies to it at once.
//   - an error that is api.Permanent: OnFailure applies at once, if there is but one message; in a larger batch, Skip has to find it
//     first, so messages come again one at a time.
//   - api.Snooze: the same messages come again after that time, or 10 ms if it is shorter. It counts no failure.
//   - any other error, a panic included: the same messages come again, one at a time, after a delay that grows; after MaxRetries,
//     OnFailure applies.
//
// A handler that wants to return before the work is done calls [Batch.Keep].
type Handler func(ctx context.Context, b *Batch) error

// Finish is returned by a handler whose stream is finished: all messages of the batch are handled, and the stream is done, as by
// api.Lease.Done. No message is left behind: if one has been added meanwhile, the stream stays owned, and the handler gets it.
// Producers must announce the stream again with the next message; Sender does so when it has to.
//
// Sender may announce a stream once too often, where a message comes just as the stream is left. Its next owner then has nothing to read,
// and nothing to return Finish for: set IdleDone as well, so that such a stream is left, too.
//
//lint:ignore ST1012 it is an outcome, as io.EOF is, and not a failure
var Finish = errors.New("feed: the stream is finished")

// At returns an error that says which message of a batch failed: those before it are handled, it will never be, and OnFailure applies
// to it at once. A handler that wants it tried again returns err itself. An id that is not in the batch fails the batch as err does,
// and a nil err is taken for "no reason given".
func At(id string, err error) error {
	if err == nil {
		err = errors.New("feed: no reason given")
	}
	return &atError{id: id, err: err}
}

type atError struct {
	id  string
	err error
}

func (e *atError) Error() string { return fmt.Sprintf("message %s: %v", e.id, e.err) }
func (e *atError) Unwrap() error { return e.err }

// Gap is what a feed found out about a stream that is not what it was.
type Gap struct {
	// Lease is the ownership under which it was found.
	Lease api.Lease
	// Kind is what has happened.
	Kind GapKind
	// From is the ID of the last message that was handled.
	From string
	// To is where reading goes on: after this ID. It is From for Trimmed.
	To string
	// Missing is how many messages are gone that nobody has read, -1 if that is not known; 0 for Reborn and Forgotten.
	Missing int64
}

// GapKind says what has happened to a stream.
type GapKind uint8

const (
	// Reborn: the stream was deleted, and has begun again with lower IDs. It is read from its start.
	Reborn GapKind = iota + 1
	// Forgotten: a failover has forgotten the last messages. They had been handled. What was added since may have lower IDs than these,
	// so reading goes on a minute before the end of the stream, and messages of that minute come again.
	Forgotten
	// Trimmed: messages were deleted before they were read: by XTRIM, by the MAXLEN or MINID of a producer, or by XDEL. It is noticed where
	// Redis counts what was added (7.0 and later), or where nothing is left after the position, and not always.
	Trimmed
)

// String returns the name of the constant in lower case, for logs.
func (k GapKind) String() string {
	switch k {
	case Reborn:
		return "reborn"
	case Forgotten:
		return "forgotten"
	case Trimmed:
		return "trimmed"
	}
	return "unknown"
}
