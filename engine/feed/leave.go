package feed

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

// leaveDelays is the wait after an attempt to end a stream that has failed. It need not grow: each attempt comes after a read that the server
// has answered.
var leaveDelays = backoff.Exponential{First: time.Second, Max: time.Second, Jitter: 0.2}

// leaver ends streams in order, so that no message is left behind.
type leaver struct {
	ends    backing.Leaver
	reader  *lateReader
	log     *sumlog.Logger
	metrics *metrics.Metrics
}

// makeWay acknowledges this announcement. The position goes along.
func (v *leaver) makeWay(s *stream) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.lease.Context()), stepTimeout)
	defer cancel()
	var why error
	if err := s.lease.Done(ctx); hasEnded(err) {
		why = api.ErrLeaseLost
	} // whatever else comes of it, nothing is owned any more: what has failed is tried on by the engine
	v.left(s, metrics.LeavingMadeWay, why)
}

// leave ends the stream if nothing is left to read.
//
// A producer that adds a message looks after that whether anybody owns the stream, and announces it if not. So first the lease is
// marked as shut, which counts as not owned: a message that is added from then on is announced. Then the last ID shows whether
// one was added before: if so, the stream goes on. And only a lease that is still shut is done, in one step, since a failover may
// have forgotten the mark. A crash at any of these steps leaves an announcement that is pending for the dead, and recovered.
func (v *leaver) leave(s *stream) {
	result, again := v.tryToLeave(s)
	if result == metrics.LeavingDone {
		v.left(s, result, nil)
		return
	}
	v.metrics.Inc(metrics.FeedLeavings.With(result))
	s.after(func() effects { return s.stayLocked(again) })
}

// stayLocked goes on with a stream that could not be left. again: it is to be left later.
func (s *stream) stayLocked(again bool) effects {
	if s.phase != leaving {
		return effects{}
	}
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	if !again {
		s.idleLocked()
		s.phase = resting
		return effects{wake: wakeNow}
	}
	s.phase = delayed
	s.retryLocked(leaveDelays.Delay(1, rand.Float64()), s.leaveAgainLocked)
	return effects{}
}

// leaveAgainLocked has the stream read, and left again if that brings nothing.
func (s *stream) leaveAgainLocked() effects {
	if s.phase != delayed {
		return effects{}
	}
	s.idleLocked()
	s.flags |= finishing
	s.phase = resting
	return effects{wake: wakeNow}
}

// tryToLeave takes the three steps. again: it is to be tried again.
func (v *leaver) tryToLeave(s *stream) (result metrics.Leaving, again bool) {
	ctx, cancel := context.WithTimeout(s.lease.Context(), stepTimeout)
	defer cancel()
	if err := v.ends.Shut(ctx, s.lease); err != nil {
		return v.cannot(s, "shut", err), true
	}
	if s.interrupted() {
		return metrics.LeavingFailed, true
	}
	last, err := v.reader.lastID(ctx, s.Stream())
	if err != nil {
		v.reopen(s)
		return v.cannot(s, "look at the end of", err), true
	}
	if s.hasUnread(last) {
		v.reopen(s)
		return metrics.LeavingReopened, false
	}
	if err := v.ends.DoneIfShut(ctx, s.lease); err != nil {
		// Either the lease is not shut, or it has ended: whether the announcement is acknowledged then or comes again, nothing is read
		// under it any more.
		return v.cannot(s, "end", err), true
	}
	return metrics.LeavingDone, false
}

// hasUnread reports whether a last ID shows that something may be left to read, and notes it then: see stream.passLocked.
func (s *stream) hasUnread(last position.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last == s.at || last.IsZero() {
		return false
	}
	s.passes.set(s, last)
	s.flags |= passing
	return true
}

// interrupted reports whether the stream is to be handed back, or was lost: then there is no hurry to finish it.
func (s *stream) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is(releasing | lost)
}

// reopen takes the mark off. If that fails, the worst is one announcement that need not have been.
func (v *leaver) reopen(s *stream) {
	ctx, cancel := context.WithTimeout(s.lease.Context(), stepTimeout)
	defer cancel()
	if err := v.ends.Reopen(ctx, s.lease); err != nil && !hasEnded(err) {
		v.log.Warn("a lease stays shut, so its stream may be announced once too often", 1, "example", s.Stream(), "err", err)
	}
}

func (v *leaver) cannot(s *stream, what string, err error) metrics.Leaving {
	if !hasEnded(err) && s.lease.Remaining() > 0 {
		v.log.Warn("a stream could not be left and is tried again", 1, "example", s.Stream(), "step", what, "err", err)
	}
	return metrics.LeavingFailed
}

// left ends a stream that is done.
func (v *leaver) left(s *stream, result metrics.Leaving, why error) {
	v.metrics.Inc(metrics.FeedLeavings.With(result))
	s.after(func() effects { return s.stopLocked(nil, why) })
}
