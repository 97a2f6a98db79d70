package leasetest

import "strconv"

// State is whether a lease is held and, if not, how it ended.
type State uint8

const (
	Held       State = iota // not ended yet
	Done                    // by Done
	Released                // by Release
	Failed                  // by Fail, or by an error or panic in the handler of Added
	HandedBack              // by the engine, after Releasing
	Lost                    // by Lose or Expire, or because its TTL ran out
)

// String returns the name of the constant, or State(n) if there is none.
func (s State) String() string {
	switch s {
	case Held:
		return "Held"
	case Done:
		return "Done"
	case Released:
		return "Released"
	case Failed:
		return "Failed"
	case HandedBack:
		return "HandedBack"
	case Lost:
		return "Lost"
	}
	return "State(" + strconv.Itoa(int(s)) + ")"
}

// Outcome is how a lease ended. The zero value means that it is held.
type Outcome struct {
	// State is Held until the lease has ended, and then how it ended.
	State State

	// Cause is, for Failed, the error given to Fail or returned by the handler,
	// to be examined with api.IsPermanent and api.SnoozeDelay; for HandedBack
	// and Lost it is the cause of the lease's context. It is nil otherwise, and
	// after Fail(ctx, nil).
	Cause error
}
