package feed

import (
	"errors"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
)

// leastSnooze is the shortest pause of Snooze: a time that is past already, or none, is not to occupy a worker and the server with one stream.
const leastSnooze = 10 * time.Millisecond

// verdict is what the return of a handler says about its batch.
type verdict struct {
	handled  int   // so many messages, from the first on
	finish   bool  // and the stream is done
	err      error // of what follows; nil: nothing has failed
	known    bool  // the first of what follows is the one that failed
	final    bool  // no retry cures it
	snoozes  bool  // it is no failure; the same again after delay
	delayFor time.Duration
}

// judge reads the error of a batch. Whatever Upto has passed is handled.
func judge(b *Batch, err error) verdict {
	all := len(b.Messages)
	switch {
	case err == nil:
		return verdict{handled: all}
	case finishes(err):
		return verdict{handled: all, finish: true}
	case b.handled == all:
		return verdict{handled: all} // nothing is left that could have failed
	}
	v := verdict{handled: b.handled, err: err, final: api.IsPermanent(err)}
	if d, ok := api.SnoozeDelay(err); ok {
		v.snoozes, v.delayFor = true, max(d, leastSnooze)
	}
	var at *atError
	if errors.As(err, &at) {
		for i := b.handled; i < all; i++ {
			if b.Messages[i].ID == at.id {
				v.handled, v.known, v.final, v.snoozes = i, true, true, false
			}
		}
	}
	v.known = v.known || all-v.handled == 1
	return v
}

// finishes reports whether an error is Finish and nothing else. Joined with another error, which says that something has failed, or given as
// the reason of At, it does not say that all messages are handled.
func finishes(err error) bool {
	if err == Finish {
		return true
	}
	switch e := err.(type) {
	case *atError:
		return false
	case interface{ Unwrap() error }:
		return finishes(e.Unwrap())
	case interface{ Unwrap() []error }:
		all := e.Unwrap()
		return len(all) > 0 && !slices.ContainsFunc(all, func(one error) bool { return one != nil && !finishes(one) })
	}
	return false
}
