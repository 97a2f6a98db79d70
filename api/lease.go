package api

import (
	"context"
	"encoding/json"
	"time"
)

// MaxCheckpoint is the greatest length of a checkpoint, in bytes.
const MaxCheckpoint = 4096

// MaxSignal is the greatest length of the payload of a signal, in bytes.
const MaxSignal = 4096

// Lease is one ownership of one data stream by this process. It begins with an
// [Added] notification, is renewed in the background for as long as the engine
// runs, and ends exactly once and for good: when the same stream is owned
// again, that is another Lease with a greater [Token].
//
// How a lease ends, and the cause of its context after that (context.Cause, to
// be compared with errors.Is):
//
//	Done, Release, Fail         ErrNotHeld    you ended it, no Disowned follows; matches ErrDone, ErrReleased or ErrFailed, too
//	hand-back after Releasing   ErrReleasing  no Disowned follows; matches ErrDraining or ErrRebalanced, too, which is the reason,
//	                                          and ErrDrainTimeout if a handler was waited for in vain
//	lost                        ErrLeaseLost  one Disowned follows; ErrAnnouncementLost and ErrReannounced match it
//	engine gone while held      ErrClosed     one Disowned follows, if anything still delivers it
//
// A lease also carries a checkpoint: a short string about the stream, stored
// beside the lease under its fence, which the next owner gets.
//
// All methods may be called from several goroutines at once, also after the
// lease has ended. The engine makes leases; tests of handlers use
// leasetest.Lease. More methods may be added, so programs should implement this
// interface only by embedding one.
type Lease interface {
	// Stream is the name of the data stream that is owned.
	Stream() string

	// Token is the fencing token of this ownership, greater than that of
	// every earlier ownership of this stream.
	Token() Token

	// Entry is the ID of the announcement in the input stream. It does not
	// identify the work: requeueing an announcement gives it a new ID.
	Entry() string

	// Info is what the producer announced with the stream, as JSON: never
	// nil, "{}" when there was none. The bytes are shared by all callers and
	// must not be changed. DecodeInfo decodes them.
	Info() json.RawMessage

	// Field returns the value of a field that the producer put beside the
	// announcement (Announcement.Fields, or by XADD), and whether there is one.
	// It stays with the announcement whoever owns the stream: through retries,
	// delays, crashes and dead letters that are sent back. Only the fields that
	// fit into MaxFields bytes are kept here, in their order, and none whose
	// name begins with '_'. Anybody who may announce can write anything there.
	Field(name string) (value string, ok bool)

	// Attempt is the number of retries counted so far: 0 at first, one more
	// after each Fail. Hand-backs, losses and shutdowns do not count.
	Attempt() int

	// Context returns a context that ends before another consumer can get the
	// stream. Its cause says how the lease ended, as in the table above. Its
	// Err is exact: it is computed on the call, so it is right immediately
	// after a pause of the whole process, while the Done channel may be closed
	// a moment later.
	//
	// It carries the values of the context that the engine was run with, but
	// does not end with it: while the engine drains, work goes on. It has no
	// deadline, since the lease is renewed. It is what handlers get, and costs
	// nothing until something waits for its end.
	Context() context.Context

	// Remaining is how long this process may still act as the owner if no
	// renewal succeeds from now on; 0 when the lease is not held. It takes no
	// lock and makes no round trip: call it before every effect that must not
	// happen twice. It is measured on the monotonic clock from just before the
	// last successful renewal was sent, less a safety margin.
	//
	// The monotonic clock of a suspended virtual machine stands still; there,
	// only the Token protects.
	Remaining() time.Duration

	// Superseded returns a channel that is closed when the stream is announced
	// again while this lease is held: the newer announcement waits, with an Info
	// of its own, until this ownership ends. Done makes way for it. Work that
	// goes on until something stops it should wait for this channel, too, or a
	// changed announcement never arrives; work that is finished some time need
	// not care. A handler also gets a Superseded notification; a function given
	// to RunEach does not.
	//
	// The owner learns of it at once if its own process read the announcement,
	// and otherwise within a beat, which is a second at most; if that hint is
	// lost, with the next renewal, after a third of the lease TTL at most. The
	// channel is made when it is first asked for. It is not closed by the end of
	// the lease: wait for the Context as well.
	Superseded() <-chan struct{}

	// Checkpoint is how far the owner of the stream has come: what was last set
	// here or, before that, what the last owner left; "" if there is nothing. What
	// it means is up to the program. It belongs to the stream, not to the
	// announcement: hand-backs, crashes, dead letters, further announcements and
	// Done leave it as it is. One that no announcement follows is deleted some
	// time after Done (see scan.Config.CheckpointTTL).
	Checkpoint() string

	// SetCheckpoint sets the checkpoint, at most MaxCheckpoint bytes; a longer one
	// changes nothing, and is logged and counted. It returns at once: what was set
	// last is stored within a second, and together with any ending, in the same
	// step. So a stream that is handed back in order is handed out with the last
	// checkpoint that was set, while after a crash it may be one that is older by
	// a second and the time that a call takes. An empty value is no checkpoint: who
	// owns the stream next starts over. After the lease has ended it does nothing.
	SetCheckpoint(value string)

	// SaveCheckpoint sets the checkpoint and waits until it is stored. ctx bounds
	// only the wait. It returns nil once this or a later checkpoint of the same
	// lease is stored; an error that matches
	//   - ErrLeaseLost if it was refused, since the stream is not owned under this
	//     token any more;
	//   - ErrNotHeld if the lease had ended before; what was set before an ending
	//     is stored with it;
	//   - ErrCheckpointTooLong if value is longer than MaxCheckpoint;
	//   - ErrNoCheckpoints if this user of Redis may not store any;
	// or the error of ctx if that ended first.
	SaveCheckpoint(ctx context.Context, value string) error

	// DropCheckpoint has the checkpoint deleted with the ending of the lease,
	// however it ends. SetCheckpoint and SaveCheckpoint take that back.
	DropCheckpoint()

	// Done ends the lease because the work is finished: the announcement is
	// acknowledged and deleted, and the stream is free. The announcement is
	// then gone for good, so call Done after the effects of the work are
	// durable.
	//
	// Ownership ends on the call, before anything is sent: Remaining is 0 and
	// the context has ended, whatever is returned. Transport errors are
	// retried internally. ctx bounds only the wait for the answer, not the
	// attempt, which goes on in the background; it may be the lease's own
	// context, or one derived from it: that this very call ends it is ignored.
	//
	// It returns
	//   - nil on success, and again on every later call of Done;
	//   - an error that matches ErrNotHeld if the lease had already ended in
	//     another way, and that also matches ErrLeaseLost if it was lost;
	//   - an error that matches ErrLeaseLost alone if the lease was lost
	//     during the call, so the announcement will be handed out again; or
	//     ErrOutcomeUnknown, which also matches ErrLeaseLost, if it may or may
	//     not be;
	//   - the error of ctx if ctx ended first. Call Done again to keep waiting.
	Done(ctx context.Context) error

	// Release ends the lease by handing the stream back: another consumer (or
	// this one) gets it at once, under a new entry and with a greater token.
	// No retry is counted. The wait and the errors are those of Done: nil
	// again after a Release that succeeded, ErrNotHeld if the lease ended in
	// another way.
	Release(ctx context.Context) error

	// Fail ends the lease because the work failed: the announcement is
	// requeued after a growing delay, with its retry count one higher, or
	// dead-lettered if that exceeds the limit. An error from the handler of
	// Added does the same.
	//
	// cause is logged, and kept with a dead letter; nil is allowed and says
	// nothing. Permanent and Snooze work as cause in the same way as when a
	// handler returns them. The wait and the errors are those of Done: nil
	// again after a Fail that succeeded, ErrNotHeld if the lease ended in
	// another way.
	Fail(ctx context.Context, cause error) error
}
