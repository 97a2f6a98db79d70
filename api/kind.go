package api

import "strconv"

// Kind says what a [Notification] is about. Zero is not a kind. More kinds may
// be added: a [Handler] must ignore those that it does not know.
type Kind uint8

const (
	// Added: this process owns the stream now, until the lease ends. Every
	// Added ends exactly once: by the user's Done, Release or Fail, by
	// Releasing and the hand-back that follows it, or by one Disowned.
	Added Kind = iota + 1

	// Disowned: this process no longer owns the stream and did not end the
	// lease itself. Another consumer may own it already. The notification may
	// queue behind a handler of the same stream that still runs; the lease's
	// context is the prompt signal and Remaining the exact one.
	Disowned

	// Expired: the lease of another process ended. A hint, sent only if it was
	// asked for and the server reports expiry; it may come late, twice or
	// never, and nothing needs to be done about it.
	Expired

	// Terminated: the engine has stopped. This is the last notification.
	Terminated

	// Releasing: the stream is about to be handed back. Err is the reason:
	// it matches ErrDraining if the process shuts down or is being emptied,
	// and ErrRebalanced if it keeps running and is to hold fewer streams. It
	// comes once for each lease: a drain that begins after a Releasing for
	// another reason sends no second one.
	//
	// The lease is valid and renewed until the stream is handed back, which
	// is when the handler returns or, where notifications come through a
	// channel, when the user ends the lease. Only a drain has a limit: what
	// is held when its time for handlers is over is handed back regardless.
	Releasing

	// Superseded: the stream that this process owns was announced again. The
	// newer announcement waits; Done makes way for it. Lease.Superseded is a
	// channel that says the same, for work that runs elsewhere.
	Superseded

	// Signaled: somebody sent a signal to the owner of the stream, with a payload
	// (see engine.Publisher.Signal). A hint: it may come twice, and is lost if
	// nobody owned the stream, or if the owner was behind. What must last is data
	// elsewhere; a signal says "look".
	Signaled
)

// String returns the name of the constant, or Kind(n) for a kind that this
// version does not know.
func (k Kind) String() string {
	switch k {
	case Added:
		return "Added"
	case Disowned:
		return "Disowned"
	case Expired:
		return "Expired"
	case Terminated:
		return "Terminated"
	case Releasing:
		return "Releasing"
	case Superseded:
		return "Superseded"
	case Signaled:
		return "Signaled"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}
