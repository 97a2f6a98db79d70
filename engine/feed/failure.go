package feed

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

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

// leastSnooze is the shortest pause of Snooze: a time that is past already, or none, is not to occupy a worker and the server with one stream.
const leastSnooze = 10 * time.Millisecond

// failedLocked decides what follows a failure. w.messages begins with the message that failed, or may have.
func (s *stream) failedLocked(v verdict) effects {
	w := s.work
	if v.snoozes {
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		return s.dropAndDelayLocked(v.delayFor)
	}
	skips := s.core.cfg.OnFailure == Skip
	if !v.final {
		s.failures = min(s.failures+1, position.MaxFailures-1)
		s.saveLocked()
		v.final = int(s.failures) > s.core.cfg.retries()
	}
	switch {
	case !v.final:
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		return s.delayLocked(s.core.delay(int(s.failures)))
	case !skips:
		if least := min(s.core.cfg.retries()+1, position.MaxFailures-1); int(s.failures) < least {
			s.failures = uint16(least)
			s.saveLocked()
		}
		s.core.log.Warn("messages of a stream could not be handled", 1, "example", s.Stream(), "position", s.at.String(), "err", v.err)
		return s.stopLocked(fmt.Errorf("feed: after message %s: %w", s.at, v.err), v.err)
	case !v.known: // one of them: which one shows when they come one at a time
		w.until = idOf(w.messages[len(w.messages)-1].ID)
		return s.onLocked(false)
	}
	w.skip = &skipped{w.messages[0], v.err}
	if s.core.cfg.OnSkip != nil {
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		s.phase = ready
		return effects{push: true}
	}
	return s.skippedLocked(nil)
}

// skippedLocked passes over one message, after OnSkip was told. An error of OnSkip is one more failure.
func (s *stream) skippedLocked(err error) effects {
	w := s.work
	skip := w.skip
	w.skip = nil
	if s.lease.Remaining() == 0 {
		return s.stopLocked(nil, api.ErrLeaseLost)
	}
	if err != nil {
		s.core.log.Warn("OnSkip failed, the message is tried again", 1, "example", s.Stream(), "message", skip.message.ID, "err", err)
		s.failures = min(s.failures+1, position.MaxFailures-1)
		s.saveLocked()
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		return s.delayLocked(s.core.delay(int(s.failures)))
	}
	s.core.log.Warn("a message that could not be handled was passed over", 1, "example", s.Stream(), "message", skip.message.ID, "err", skip.err)
	s.core.metrics.Inc(metrics.FeedMessages.With(metrics.MessageSkipped))
	s.at, s.failures = idOf(skip.message.ID), 0
	if s.seen != unknown {
		s.seen++
	}
	s.saveLocked()
	w.messages = w.messages[1:]
	return s.onLocked(false)
}

// delayLocked tries what has failed again later, one message at a time up to the last one of this batch.
func (s *stream) delayLocked(d time.Duration) effects {
	w := s.work
	if n := len(w.messages); n > 0 {
		if last := idOf(w.messages[n-1].ID); w.until.Less(last) {
			w.until = last
		}
	}
	return s.dropAndDelayLocked(d)
}

// dropAndDelayLocked drops what is in hand, so that others may read meanwhile, and has it read again later.
func (s *stream) dropAndDelayLocked(d time.Duration) effects {
	w := s.work
	w.noteLocked()
	bytes := s.dropLocked()
	s.phase, w.since = delayed, s.core.now()
	s.core.retrying.Add(1)
	w.timer = time.AfterFunc(d, func() {
		s.core.retrying.Add(-1)
		s.after(func() effects {
			if s.phase != delayed {
				return effects{}
			}
			s.phase, s.work.timer = resting, nil
			return effects{wake: wakeNow}
		})
	})
	return effects{release: bytes}
}

// readError explains an error that reading does not retry. A key of another type never becomes a stream; rights may be granted.
func readError(stream string, err error) error {
	explained := fmt.Errorf("feed: reading %q: %w", stream, err)
	if isWrongType(err) {
		return api.Permanent(explained)
	}
	return explained
}

func errOrder(last, id position.ID) error { return fmt.Errorf("message %s after %s", id, last) }
