package api

import (
	"context"
	"encoding/json"
	"time"
)

// Lease is one ownership of one data stream by this process. It begins with an
// [Added] notification, is renewed in the background for as long as the engine
// runs, and ends exactly once, never to be held again: the same stream owned
// anew is another Lease with a greater [Token].
//
// How a lease ends, and what is then the cause of its context
// (context.Cause, to be compared with errors.Is):
//
//	Done, Release, Fail         ErrNotHeld    you ended it, no Disowned follows
//	hand-back after Releasing   ErrReleasing  no Disowned follows
//	lost                        ErrLeaseLost  one Disowned follows; ErrAnnouncementLost and ErrReannounced match it
//	engine gone while held      ErrClosed     one Disowned follows, if anything still delivers it
//
// All methods may be called from several goroutines at once, after the end
// too. The engine makes leases; a test of a handler takes leasetest.Lease.
// More methods may be added, so programs should not implement this interface
// other than by embedding one.
type Lease interface {
	// Stream is the name of the data stream that is owned.
	Stream() string

	// Token is the fencing token of this ownership: greater than that of
	// every earlier one of this stream.
	Token() Token

	// Entry is the ID of the announcement in the input stream. It is not an
	// identity of the work: re-queueing an announcement gives it a new ID.
	Entry() string

	// Info is what the producer announced along with the stream, as JSON:
	// never nil, "{}" when there was none. The bytes are shared by all callers
	// and must not be changed. DecodeInfo decodes it.
	Info() json.RawMessage

	// Attempt is the number of retries counted so far: 0 at first, one more
	// after each Fail. Hand-backs, losses and shutdowns do not count.
	Attempt() int

	// Context ends before another consumer can get the stream. Its cause says
	// how the lease ended, as the table above has it. Its Err is exact: it is
	// computed on the call, so it is right at once after a pause of the whole
	// process, when the Done channel may be closed a moment later.
	//
	// It carries the values of the context that the engine was run with, but
	// not its end: while the engine drains, work goes on. It has no deadline,
	// since the lease is renewed.
	Context() context.Context

	// Remaining is how long this process may still act as the owner if no
	// renewal succeeds from now on; 0 when the lease is not held. It takes no
	// lock and makes no round trip: call it before every effect that must not
	// happen twice. It counts on the monotonic clock from just before the
	// last successful renewal was sent, a safety margin already taken off.
	//
	// The monotonic clock of a suspended virtual machine stands still, so
	// there only the Token protects.
	Remaining() time.Duration

	// Done ends the lease because the work is finished: the announcement is
	// acknowledged and deleted, the stream set free. The announcement is then
	// gone for good, so call it after the effects of the work are durable.
	//
	// Ownership ends on the call, before anything is sent: Remaining is 0 and
	// the context has ended, whatever is returned. Errors of the transport
	// are retried inside. ctx bounds only the wait for the answer, not the
	// attempt, which goes on in the background; it may be the lease's own
	// context, or one derived from it, whose end by this very call is ignored.
	//
	// It returns
	//   - nil after success, and again on every further Done after it;
	//   - an error that matches ErrNotHeld when the lease had ended before in
	//     another way, and that also matches ErrLeaseLost when it was lost;
	//   - an error that matches ErrLeaseLost alone when it was lost during the
	//     call, so that the announcement will be handed out again; or
	//     ErrOutcomeUnknown, which matches ErrLeaseLost too, when it may or
	//     may not;
	//   - the error of ctx when it ended first. Done may be called again to
	//     wait on.
	Done(ctx context.Context) error

	// Release ends the lease by handing the stream back: another consumer (or
	// this one) gets it at once, under a new entry and with a greater token.
	// No retry is counted. The wait and the errors are those of Done: nil
	// again after a Release that succeeded, ErrNotHeld after another ending.
	Release(ctx context.Context) error

	// Fail ends the lease because the work failed: the announcement is queued
	// again after a growing delay and with one retry more on its count, or
	// moved to the dead letters when that is past the limit. An error from
	// the handler of Added does the same.
	//
	// cause is logged and kept with a dead letter; nil is allowed and says
	// nothing. Permanent and Snooze work as cause as they do when a handler
	// returns them. The wait and the errors are those of Done: nil again
	// after a Fail that succeeded, ErrNotHeld after another ending.
	Fail(ctx context.Context, cause error) error
}
