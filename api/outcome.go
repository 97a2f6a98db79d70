package api

import (
	"errors"
	"time"
)

// Permanent marks err as one that no retry will cure: returned by a handler of
// [Added], or given to [Lease.Fail], it dead-letters the announcement at once,
// however many retries are left. Permanent(nil) is nil.
//
// The mark survives wrapping with %w and errors.Join, err itself stays visible
// to errors.Is and errors.As, and the message is that of err.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err: err}
}

// IsPermanent reports whether err, or an error that it wraps, was marked by
// [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// Snooze returns an error that means "not now": returned by a handler of
// [Added], or given to [Lease.Fail], it hands the stream back, to be handed out
// again, to any consumer, once the delay has passed. It counts no retry. Zero
// or less means no delay. The delay is kept in Redis, in whole milliseconds,
// and outlives this process.
//
// The stream is not handed out before the delay has passed. Where processes are
// not busy, it comes up to 0.2 s after that; a delay of 10 s or more is rounded
// up to a second first. If the process that attends to the time has just died,
// it comes up to a second later than that.
func Snooze(after time.Duration) error {
	return &snoozeError{after: max(after, 0)}
}

// SnoozeDelay returns the delay that [Snooze] put into err, or into an error
// that it wraps; false if there is none. An error that is also [Permanent] is
// permanent and does not snooze. Of several delays, the first that errors.As
// finds counts.
func SnoozeDelay(err error) (time.Duration, bool) {
	var s *snoozeError
	if IsPermanent(err) || !errors.As(err, &s) {
		return 0, false
	}
	return s.after, true
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

type snoozeError struct{ after time.Duration }

func (e *snoozeError) Error() string { return "streamlease: snoozed for " + e.after.String() }
