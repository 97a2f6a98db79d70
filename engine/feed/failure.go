package feed

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// failedLocked decides what follows a failure. w.messages begins with the message that failed, or may have.
func (s *stream) failedLocked(v verdict) effects {
	w := s.work
	if v.snoozes {
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		return s.dropAndDelayLocked(v.delayFor)
	}
	skips := s.cfg.OnFailure == Skip
	if !v.final {
		s.countFailureLocked()
		v.final = int(s.failures) > s.cfg.retries()
	}
	switch {
	case !v.final:
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		return s.delayLocked(retryDelay(s.cfg, int(s.failures)))
	case !skips:
		s.raiseFailuresLocked(s.cfg.retries() + 1)
		s.log.Warn("messages of a stream could not be handled", 1, "example", s.Stream(), "position", s.at.String(), "err", v.err)
		return s.stopLocked(fmt.Errorf("feed: after message %s: %w", s.at, v.err), v.err)
	case !v.known: // one of them: which one shows when they come one at a time
		w.until = idOf(w.messages[len(w.messages)-1].ID)
		return s.onLocked(false)
	}
	w.skip = &skipped{w.messages[0], v.err}
	if s.cfg.OnSkip != nil {
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
		s.log.Warn("OnSkip failed, the message is tried again", 1, "example", s.Stream(), "message", skip.message.ID, "err", err)
		s.countFailureLocked()
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		return s.delayLocked(retryDelay(s.cfg, int(s.failures)))
	}
	s.log.Warn("a message that could not be handled was passed over", 1, "example", s.Stream(), "message", skip.message.ID, "err", skip.err)
	s.metrics.Inc(metrics.FeedMessages.With(metrics.MessageSkipped))
	s.passOverLocked(skip.message.ID)
	w.messages = w.messages[1:]
	return s.onLocked(false)
}

// retryDelay returns the wait before a retry: RetryDelay, doubled with each failure after the first, up to MaxRetryDelay.
func retryDelay(c *Config, failures int) time.Duration {
	return backoff.Exponential{First: c.RetryDelay, Max: c.MaxRetryDelay, Jitter: 0.2}.Delay(failures, rand.Float64())
}
