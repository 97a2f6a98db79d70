package api

import "errors"

// Errors about a lease: causes of Lease.Context, and results of Lease.Done,
// Release and Fail. Compare with errors.Is; any of them may be wrapped.
var (
	// ErrLeaseLost: this process no longer owns the stream and did not end
	// the lease itself: a deadline passed without a successful renewal, or
	// Redis says that the lease is gone or belongs to another consumer.
	// Another consumer may own the stream by now. Stop working on it, write
	// nothing more for it, and do not announce it again: the announcement
	// still exists and is handed out again, which counts no retry. The one
	// exception is ErrAnnouncementLost, which matches this error.
	ErrLeaseLost = errors.New("streamlease: lease lost")

	// ErrSessionLost: all leases of a partition were lost at once, because
	// the session of this process passed its deadline. It matches
	// ErrLeaseLost; handle it the same way. If it recurs, the process is
	// starved of CPU, Redis is out of reach, or the session TTL is too short.
	ErrSessionLost error = &derivedError{text: "streamlease: session lost", of: ErrLeaseLost}

	// ErrReannounced: the stream's announcement was deleted or trimmed by
	// someone else while this process owned the stream. The library announces
	// it again, with its name, Info and counts; other fields that the producer
	// had added are gone. It matches ErrLeaseLost; handle it the same way. The
	// input stream must never be trimmed: if this recurs, look for MAXLEN,
	// MINID and XTRIM. It is the Err of Disowned and the cause of the lease's
	// context.
	ErrReannounced error = &derivedError{text: "streamlease: announcement deleted, announced again", of: ErrLeaseLost}

	// ErrAnnouncementLost: the stream's announcement is gone from Redis, and
	// the library cannot announce it again: a server forgot it in a restart
	// or a failover, or someone deleted it. It matches ErrLeaseLost, but
	// unlike every other error that does, it means that no consumer will get
	// the stream: publish it again. It is the Err of Disowned and the cause of
	// the lease's context, or a result of Release and Fail.
	ErrAnnouncementLost error = &derivedError{text: "streamlease: announcement lost, publish it again", of: ErrLeaseLost}

	// ErrOutcomeUnknown: Done, Release or Fail was sent but its answer was
	// lost, and the retry found nothing left, after a deadline had passed:
	// either the first call succeeded, or another consumer has the stream.
	// It matches ErrLeaseLost. Assume that the work may be done again.
	ErrOutcomeUnknown error = &derivedError{text: "streamlease: outcome unknown, lease lost in the meantime", of: ErrLeaseLost}

	// ErrNotHeld: as the cause of a lease's context, you ended the lease
	// yourself, by Done, Release or Fail. As a result of these three, the
	// lease had ended before the call, in whatever way; the result then
	// matches the cause of the context too. Nothing needs to be done: whatever
	// ended the lease first has decided. DoneStream returns it for a stream
	// that this process does not own.
	ErrNotHeld = errors.New("streamlease: lease not held")

	// ErrDone: the cause of a lease's context after its owner called Done. It
	// matches ErrNotHeld. That the ending was stored is what Done returns; the
	// context does not wait for it.
	ErrDone error = &derivedError{text: "streamlease: lease done", of: ErrNotHeld}

	// ErrReleased: as ErrDone, after Release.
	ErrReleased error = &derivedError{text: "streamlease: lease released by its owner", of: ErrNotHeld}

	// ErrFailed: as ErrDone, after Fail. An error of a handler of Added is a
	// Fail.
	ErrFailed error = &derivedError{text: "streamlease: lease failed by its owner", of: ErrNotHeld}

	// ErrNotShut: DoneIfShut of an engine did not end the lease, since it is
	// not shut any more, or never was: somebody announced the stream, or a
	// server was replaced. The lease is held, as before. Look once more for
	// what came meanwhile, and begin again with Shut.
	ErrNotShut = errors.New("streamlease: lease not shut, still held")

	// ErrReleasing: the engine hands the lease back, or has handed it back,
	// after a Releasing notification. Another consumer gets the stream at
	// once. Stop working on it. ErrDraining and ErrRebalanced, which match it,
	// are the reasons. If the engine waited for a handler until the time for
	// handlers was over, the cause of the lease's context also matches
	// ErrDrainTimeout.
	ErrReleasing = errors.New("streamlease: lease released by the engine")

	// ErrDraining: the stream is handed back because this process shuts down
	// or is being emptied; all of its streams are. What is still to be done
	// has to be done before the drain timeout. It matches ErrReleasing. It is
	// the Err of Releasing, the cause of the context of a function given to
	// RunEach and, once the stream was handed back, that of the lease's.
	ErrDraining error = &derivedError{text: "streamlease: lease released, the process is draining", of: ErrReleasing}

	// ErrRebalanced: the stream is handed back because this process holds more
	// streams than its share, or than SetMaxStreams allows. The process keeps
	// running and keeps its other streams. Nothing times out: the lease is
	// renewed until the stream is handed back or a drain begins. It matches
	// ErrReleasing, and occurs where ErrDraining does.
	ErrRebalanced error = &derivedError{text: "streamlease: lease released, the process holds too many streams", of: ErrReleasing}
)

// Errors about checkpoints.
var (
	// ErrCheckpointTooLong: the value given to Lease.SaveCheckpoint or set by
	// SetCheckpoint is longer than MaxCheckpoint. Nothing was changed. Keep
	// what is longer elsewhere, and a reference to it in the checkpoint.
	ErrCheckpointTooLong = errors.New("streamlease: checkpoint too long")

	// ErrNoCheckpoints: checkpoints cannot be stored, since Redis refuses the
	// commands that they need or holds a key of another type in their place;
	// the message says which. Streams are owned as ever. Grant the commands
	// listed in docs/acl.md, or delete the key.
	ErrNoCheckpoints = errors.New("streamlease: no checkpoints")
)

// Errors about the functions that the program gave to the engine.
var (
	// ErrGoexit: a handler, or a function given to RunEach, ended its
	// goroutine with runtime.Goexit, as a test's t.FailNow does, instead of
	// returning. It is the Value of a [PanicError] and treated like a panic:
	// the stream fails. Return an error instead.
	ErrGoexit = errors.New("streamlease: runtime.Goexit called")
)

// Errors about starting and stopping an engine.
var (
	// ErrClosed: the engine was shut down. As the cause of a lease's context:
	// it stopped while the lease was held and could not hand it back; other
	// consumers recover the stream when the session has ended. As a result: an
	// engine cannot be started again; make a new one.
	ErrClosed = errors.New("streamlease: engine closed")

	// ErrStarted: Run, RunEach or Start was called on an engine that had
	// already been started by any of them. Start an engine once.
	ErrStarted = errors.New("streamlease: engine already started")

	// ErrLockHeld: the file of WithLockFile was held by another run for the
	// whole drain timeout, which is as long as an orderly end may take. The
	// message names it. Nothing was opened or taken. If that run hangs, end
	// it; if both are to run, give each a file of its own.
	ErrLockHeld = errors.New("streamlease: lock file held by another run")

	// ErrDrainTimeout: the time for handlers, or that for handing back, was over
	// (or the context given to Shutdown had ended) while handlers were still
	// running or streams were still to be handed back. Nothing is lost: other
	// consumers recover what was not handed back when the session has ended.
	// Make handlers follow their context, or allow more time.
	ErrDrainTimeout = errors.New("streamlease: drain timeout")

	// ErrNotHandedBack: Run or Shutdown ended, but some streams could not be
	// handed back, since their announcements were no longer pending for this
	// process: someone claimed them for another consumer by hand, or deleted
	// them. The message says how many. Look at Backlog of scan.Inspector: what
	// is pending for another consumer is handed out by that consumer, or when
	// it is gone; Reannounce brings back what is stranded.
	ErrNotHandedBack = errors.New("streamlease: streams not handed back")

	// ErrNotReady: Ready found that the engine has not started, or that
	// reading or renewing does not work; it wraps the reason. Report the
	// process as not ready and ask again: the engine keeps trying.
	ErrNotReady = errors.New("streamlease: not ready")
)

// Errors about what the program asked for.
var (
	// ErrInvalidConfig: an option, a field of a configuration, or a service
	// or consumer name is out of range or contradicts another. The message
	// names the field, the value and the remedy. Change the program.
	ErrInvalidConfig = errors.New("streamlease: invalid configuration")

	// ErrInvalidStream: the name of a data stream is empty, longer than the
	// largest limit allowed, not UTF-8, or a key of the service itself. The
	// stream was not announced. Change the name.
	ErrInvalidStream = errors.New("streamlease: invalid stream name")

	// ErrTooLarge: an announcement exceeds a limit of the service: the length
	// of its name or Info, the number of its fields, or its total size. The
	// message names the limit, the value and the option. It was not
	// announced. Keep large data elsewhere and announce where it is, or raise
	// the limit with WithLimits, in consumers first.
	ErrTooLarge = errors.New("streamlease: announcement too large")

	// ErrHeldElsewhere: Requeue found that a live consumer owns the stream, and
	// changed nothing. Leave it alone, or try again when that consumer is gone.
	// (DoneStream asks nobody who owns a stream that this process does not own:
	// it returns ErrNotHeld.)
	ErrHeldElsewhere = errors.New("streamlease: stream held by another consumer")

	// ErrNotAnnounced: Requeue found no announcement of the stream that
	// could be handed out again. Announce it, unless the error is more than
	// that: scan.ErrRequeued and scan.DelayedError match it, too, and mean
	// that the stream is, or was just, announced.
	ErrNotAnnounced = errors.New("streamlease: stream not announced")
)

// Errors about what is in Redis. An engine or publisher returns them before it
// has read or changed anything of the service. The first three may also occur
// later: an engine checks again every 30 seconds and whenever it opens a
// session, and then disowns all streams and is not ready; a publisher checks
// every 30 seconds, and then announces nothing more.
var (
	// ErrPartitionMismatch: the service exists with another number of
	// partitions, which is fixed while it runs. Use the number in the message,
	// or another service name; or stop the service and repartition it.
	ErrPartitionMismatch = errors.New("streamlease: number of partitions differs from the service's")

	// ErrFormat: the service's data in Redis is in a format that this version
	// does not know. Use the version of the library that the rest of the
	// fleet runs.
	ErrFormat = errors.New("streamlease: unknown format version")

	// ErrServiceStopped: the service is being deleted or repartitioned, or
	// that was begun and not finished. The message says which, and how to
	// finish or undo it. A running engine has disowned all streams, and
	// resumes by itself once the service is again as the engine expects it.
	ErrServiceStopped = errors.New("streamlease: service stopped for deletion or repartitioning")

	// ErrNoAgreement: the record of the service's format and partitions is
	// gone although consumers are alive: someone deleted the key. The live
	// consumers write it again within 30 seconds; an engine that starts waits
	// for that. Publish again after that.
	ErrNoAgreement = errors.New("streamlease: no record of the service's number of partitions")

	// ErrForeignConsumers: a consumer of another library is alive in this
	// service's group; the two libraries do not respect each other's leases.
	// Stop the other consumers first, or override the check if you know that
	// they are gone. Ready also returns it while entries are pending for
	// foreign consumers.
	ErrForeignConsumers = errors.New("streamlease: consumers of another library in the group")

	// ErrUnsupportedServer: the server is older than Redis 6.2, or lacks a
	// command, or cannot be distinguished from its successor, because its
	// access rules refuse INFO and CLUSTER MYID. Engines fail to start with
	// it, and publishers to publish; errors in events, of Ready and of
	// inspectors match it, too. The message says which it is: upgrade to
	// Redis 6.2 or later or to Valkey, grant the command, or turn settling off.
	ErrUnsupportedServer = errors.New("streamlease: server not supported")

	// ErrNotRedis: what answers at the address is not a Redis server, or one
	// side speaks TLS and the other does not, or the certificate is not
	// accepted. The message says which. Check the address, the port and
	// TLSConfig.
	ErrNotRedis = errors.New("streamlease: not a Redis server")

	// ErrMissingRights: the user of the client may not do all that the
	// library needs. Engines fail to start with it, and publishers to publish.
	// The message names all rights that are missing, as rules for ACL SETUSER;
	// that of a publisher may be 30 s old.
	ErrMissingRights = errors.New("streamlease: access rights are missing")
)

// NotHeld returns what Done, Release and Fail return for a lease that had
// already ended with the given cause of its context: an error that matches
// ErrNotHeld and the cause. For a nil cause it returns ErrNotHeld itself.
func NotHeld(cause error) error {
	if cause == nil || errors.Is(cause, ErrNotHeld) {
		return ErrNotHeld
	}
	return &notHeldError{cause: cause}
}

type notHeldError struct{ cause error }

func (e *notHeldError) Error() string   { return ErrNotHeld.Error() + ": " + e.cause.Error() }
func (e *notHeldError) Unwrap() []error { return []error{ErrNotHeld, e.cause} }

// derivedError is a sentinel that is a special case of another one: errors.Is
// finds that one, but its text does not appear.
type derivedError struct {
	text string
	of   error
}

func (e *derivedError) Error() string { return e.text }
func (e *derivedError) Unwrap() error { return e.of }
