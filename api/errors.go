package api

import "errors"

// Errors about a lease: causes of Lease.Context, and results of Lease.Done,
// Release and Fail. Compare with errors.Is; all of them may come wrapped.
var (
	// ErrLeaseLost: this process ceased to own the stream without having
	// ended that itself: a deadline passed with no successful renewal, or
	// Redis says that the lease is another's or gone. Another consumer may
	// own the stream by now. Stop working on it, write nothing more for it,
	// and do not announce it again: the announcement is still there and is
	// handed out again, which counts no retry. The one exception is
	// ErrAnnouncementLost, which matches this.
	ErrLeaseLost = errors.New("streamlease: lease lost")

	// ErrSessionLost: all leases of a partition were lost at once, because
	// the session of this process passed its deadline. It matches
	// ErrLeaseLost; do what is said there. If it recurs, the process is
	// starved of CPU, Redis is out of reach, or the session TTL is too short.
	ErrSessionLost error = &derivedError{text: "streamlease: session lost", of: ErrLeaseLost}

	// ErrReannounced: somebody deleted or trimmed the announcement of the
	// stream while this process owned it. The library announces it again, with
	// its name, Info and counts; other fields that the producer had added are
	// gone. It matches ErrLeaseLost; do what is said there. The input stream
	// must never be trimmed: if this recurs, look for MAXLEN, MINID and XTRIM.
	// It is the Err of Disowned and the cause of the lease's context.
	ErrReannounced error = &derivedError{text: "streamlease: announcement deleted by somebody, announced again", of: ErrLeaseLost}

	// ErrAnnouncementLost: the announcement of the stream is gone from Redis,
	// and the library cannot announce it again: a server forgot it in a
	// restart or a failover, or somebody deleted it. It matches ErrLeaseLost,
	// and unlike every other error that does, it means that nobody will be
	// given the stream: publish it again. It is the Err of Disowned and the
	// cause of the lease's context, or a result of Release and Fail.
	ErrAnnouncementLost error = &derivedError{text: "streamlease: announcement lost, publish it again", of: ErrLeaseLost}

	// ErrOutcomeUnknown: Done, Release or Fail was sent, its answer got lost,
	// and when asked again nothing was there any more, after a deadline had
	// passed: either that call did it, or another consumer has the stream.
	// It matches ErrLeaseLost. Treat the work as one that may be done again.
	ErrOutcomeUnknown error = &derivedError{text: "streamlease: outcome unknown, lease lost meanwhile", of: ErrLeaseLost}

	// ErrNotHeld: as the cause of a lease's context, you ended the lease
	// yourself, by Done, Release or Fail. As a result of these three, the
	// lease had ended before the call, in whatever way; the result then
	// matches the cause of the context too. Nothing is to be done: what ended
	// the lease first has decided. DoneStream returns it for a stream that
	// this process does not own.
	ErrNotHeld = errors.New("streamlease: lease not held")

	// ErrReleasing: the lease was handed back by the engine after a Releasing
	// notification, because the process drains or wants fewer streams. Another
	// consumer gets the stream at once. Stop working on it.
	ErrReleasing = errors.New("streamlease: lease released by the engine")
)

// Errors of what the program gave to the engine.
var (
	// ErrGoexit: a handler, or a function of RunEach, ended its goroutine with
	// runtime.Goexit, as t.FailNow of a test does, instead of returning. It is
	// the Value of a [PanicError] and treated like a panic: the stream fails.
	// Return an error instead.
	ErrGoexit = errors.New("streamlease: runtime.Goexit called")
)

// Errors of an engine's life.
var (
	// ErrClosed: the engine was shut down. As the cause of a lease's context:
	// it stopped while the lease was held and could not hand it back; others
	// recover the stream when the session has ended. As a result: the engine
	// does not start again, make a new one.
	ErrClosed = errors.New("streamlease: engine closed")

	// ErrStarted: Run, RunEach or Start was called on an engine that had been
	// started before, in any of these ways. Start an engine once.
	ErrStarted = errors.New("streamlease: engine already started")

	// ErrDrainTimeout: Run or Shutdown ended at the drain timeout (or the end
	// of the context given to Shutdown) while handlers still ran or streams
	// were still to be handed back. Nothing is lost: what was not handed back
	// is recovered by others when the session has ended. Make handlers
	// follow their lease's context, or allow more time.
	ErrDrainTimeout = errors.New("streamlease: drain timeout")

	// ErrNotHandedBack: Run or Shutdown ended, and handing some streams back
	// did nothing, since their announcements were not pending for this process
	// any more: somebody claimed them for another consumer by hand, or deleted
	// them. The message says how many. Look at Backlog: what is pending for
	// another consumer is handed out by that or when it is gone, what is
	// stranded is brought back by Reannounce of scan.Inspector.
	ErrNotHandedBack = errors.New("streamlease: streams not handed back")

	// ErrNotReady: Ready found that the engine has not started, or that
	// reading or renewing does not work; it wraps the reason. Report the
	// process as not ready and ask again: the engine goes on trying.
	ErrNotReady = errors.New("streamlease: not ready")
)

// Errors about what the program asked for.
var (
	// ErrInvalidConfig: an option, a field of a configuration, or a service
	// or consumer name is out of range or contradicts another. The message
	// names the field, the value and the remedy. Change the program.
	ErrInvalidConfig = errors.New("streamlease: invalid configuration")

	// ErrInvalidStream: the name of a data stream is empty, longer than any
	// limit may be, not UTF-8, or a key of the service itself. The stream was
	// not announced. Change the name.
	ErrInvalidStream = errors.New("streamlease: invalid stream name")

	// ErrTooLarge: an announcement is beyond a limit of the service: the
	// length of its name or its Info, its fields, or all of it together. The
	// message names the limit, the value and the option. It was not
	// announced. Keep large data elsewhere and announce where it is, or raise
	// the limit with WithLimits, in consumers first.
	ErrTooLarge = errors.New("streamlease: announcement too large")

	// ErrHeldElsewhere: Requeue or DoneStream found that a living consumer
	// owns the stream, and changed nothing. Leave it alone, or ask again
	// when that consumer is gone.
	ErrHeldElsewhere = errors.New("streamlease: stream held by another consumer")

	// ErrNotAnnounced: Requeue found no announcement of the stream that
	// could be handed out again. Announce it.
	ErrNotAnnounced = errors.New("streamlease: stream not announced")
)

// Errors about what is in Redis. An engine or publisher returns them before it
// has read or changed anything of the service. The first three may come up
// later, too: an engine asks again every half a minute and whenever it opens a
// session, and then disowns all streams and is not ready; a publisher asks
// every half a minute, and announces nothing more.
var (
	// ErrPartitionMismatch: the service exists with another number of
	// partitions, which is fixed while it runs. Use the number in the message,
	// or another service name; or stop the service and repartition it.
	ErrPartitionMismatch = errors.New("streamlease: number of partitions differs from the service's")

	// ErrFormat: what the service has in Redis was written in a format that
	// this version does not know. Use the version of the library that the
	// rest of the fleet runs.
	ErrFormat = errors.New("streamlease: unknown format version")

	// ErrServiceStopped: the service is being deleted or repartitioned, or
	// that was begun and not finished. The message says which, and how to
	// finish or undo it. A running engine has disowned all streams and goes
	// on by itself once the service is again what it takes it for.
	ErrServiceStopped = errors.New("streamlease: service stopped for deletion or repartitioning")

	// ErrNoAgreement: the record of the service's format and partitions is
	// gone although consumers are alive: somebody deleted the key. Those who
	// are alive write it again within half a minute; an engine that starts
	// waits for that. Publish again after that.
	ErrNoAgreement = errors.New("streamlease: the service's number of partitions is not on record")

	// ErrForeignConsumers: a consumer of another library is alive in this
	// service's group; the two do not respect each other's leases. Stop the
	// others first, or override the check if you know that they are gone.
	// Ready also returns it while pending entries of foreign consumers wait.
	ErrForeignConsumers = errors.New("streamlease: consumers of another library in the group")

	// ErrUnsupportedServer: the server is too old, or its access rules refuse
	// a command without which a guarantee would not hold. The message names
	// it. Grant the command, upgrade, or turn off the option that needs it.
	ErrUnsupportedServer = errors.New("streamlease: server not supported")
)

// NotHeld is the result of Done, Release and Fail on a lease that had ended
// before, with the given cause of its context: it matches ErrNotHeld and the
// cause. A nil cause says nothing more than ErrNotHeld.
func NotHeld(cause error) error {
	if cause == nil || errors.Is(cause, ErrNotHeld) {
		return ErrNotHeld
	}
	return &notHeldError{cause: cause}
}

type notHeldError struct{ cause error }

func (e *notHeldError) Error() string   { return ErrNotHeld.Error() + ": " + e.cause.Error() }
func (e *notHeldError) Unwrap() []error { return []error{ErrNotHeld, e.cause} }

// derivedError is a sentinel that is a special case of another one. It says so
// to errors.Is, not in its text.
type derivedError struct {
	text string
	of   error
}

func (e *derivedError) Error() string { return e.text }
func (e *derivedError) Unwrap() error { return e.of }
