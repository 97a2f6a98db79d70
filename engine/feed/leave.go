package feed

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// makeWayAfter is how long, in ticks, a stream that does not come to rest goes on after it was announced again.
const makeWayAfter = ticksPerSecond * 60

// leaveAgain is the wait after an attempt to end a stream that has failed.
const leaveAgain = time.Second

// finishLocked ends a stream whose handler has returned Finish, or that was idle: in order, so that no message is left behind.
func (s *stream) finishLocked() effects {
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	return s.leaveLocked(s.leave)
}

// makeWayLocked ends a stream for which a newer announcement waits.
func (s *stream) makeWayLocked() effects {
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	return s.leaveLocked(s.makeWay)
}

func (s *stream) leaveLocked(chore func()) effects {
	fx := effects{chore: chore}
	w := s.workLocked()
	fx.release = s.dropLocked()
	s.phase, w.since = leaving, s.core.now()
	s.flushLocked()
	return fx
}

// makeWay acknowledges this announcement. The position goes along.
func (s *stream) makeWay() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.lease.Context()), stepTimeout)
	defer cancel()
	var why error
	if err := s.lease.Done(ctx); hasEnded(err) {
		why = api.ErrLeaseLost
	} // whatever else comes of it, nothing is owned any more: what has failed is tried on by the engine
	s.left(metrics.LeavingMadeWay, why)
}

// leave ends the stream if nothing is left to read.
//
// A producer that adds a message looks after that whether anybody owns the stream, and announces it if not. So first the lease is
// marked as shut, which counts as not owned: a message that is added from then on is announced. Then the last ID shows whether
// one was added before: if so, the stream goes on. And only a lease that is still shut is done, in one step, since a failover may
// have forgotten the mark. A crash at any of these steps leaves an announcement that is pending for the dead, and recovered.
func (s *stream) leave() {
	result, again := s.tryToLeave()
	if result == metrics.LeavingDone {
		s.left(result, nil)
		return
	}
	s.core.metrics.Inc(metrics.FeedLeavings.With(result))
	s.after(func() effects {
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
		s.core.retrying.Add(1)
		s.work.timer = time.AfterFunc(leaveAgain, func() {
			s.core.retrying.Add(-1)
			s.after(s.leaveAgainLocked)
		})
		return effects{}
	})
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
func (s *stream) tryToLeave() (result metrics.Leaving, again bool) {
	ctx, cancel := context.WithTimeout(s.lease.Context(), stepTimeout)
	defer cancel()
	if err := s.core.leaver.Shut(ctx, s.lease); err != nil {
		return s.cannot("shut", err), true
	}
	if s.interrupted() {
		return metrics.LeavingFailed, true
	}
	last, err := s.core.lastID(ctx, s.Stream())
	if err != nil {
		s.reopen()
		return s.cannot("look at the end of", err), true
	}
	s.mu.Lock()
	unread := last != s.at && !last.IsZero()
	if unread {
		s.core.passes.set(s, last)
		s.flags |= passing
	}
	s.mu.Unlock()
	if unread {
		s.reopen()
		return metrics.LeavingReopened, false
	}
	if err := s.core.leaver.DoneIfShut(ctx, s.lease); err != nil {
		// Either the lease is not shut, or it has ended: whether the announcement is acknowledged then or comes again, nothing is read
		// under it any more.
		return s.cannot("end", err), true
	}
	return metrics.LeavingDone, false
}

// interrupted reports whether the stream is to be handed back, or was lost: then there is no hurry to finish it.
func (s *stream) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is(releasing | lost)
}

// reopen takes the mark off. If that fails, the worst is one announcement that need not have been.
func (s *stream) reopen() {
	ctx, cancel := context.WithTimeout(s.lease.Context(), stepTimeout)
	defer cancel()
	if err := s.core.leaver.Reopen(ctx, s.lease); err != nil && !hasEnded(err) {
		s.core.log.Warn("a lease stays shut, so its stream may be announced once too often", 1, "example", s.Stream(), "err", err)
	}
}

func (s *stream) cannot(what string, err error) metrics.Leaving {
	if !hasEnded(err) && s.lease.Remaining() > 0 {
		s.core.log.Warn("a stream could not be left and is tried again", 1, "example", s.Stream(), "step", what, "err", err)
	}
	return metrics.LeavingFailed
}

// left ends a stream that is done.
func (s *stream) left(result metrics.Leaving, why error) {
	s.core.metrics.Inc(metrics.FeedLeavings.With(result))
	s.after(func() effects { return s.stopLocked(nil, why) })
}

// passLocked moves the position to the last ID that was seen when the stream could not be left, since a read that came after it has
// brought nothing: there is no message up to that ID any more, nor will there be. So a stream whose last message was deleted
// can be left, too. Where a server was replaced lately, the reads may have been answered by the old one, which lacks the message: then
// nothing is moved. The first empty read may have been on its way when the ID was seen, and proves nothing; passLocked reports
// whether another one is needed.
func (s *stream) passLocked() (again bool) {
	if !s.is(passed) {
		s.flags |= passed
		return true
	}
	if to, ok := s.unpassLocked(); ok && s.at.Less(to) && !s.core.changedLately() {
		s.moveLocked(to)
	}
	return false
}

// unpassLocked forgets that ID.
func (s *stream) unpassLocked() (to position.ID, ok bool) {
	if !s.is(passing) {
		return to, false
	}
	s.flags &^= passing | passed
	return s.core.passes.take(s)
}
