package feed

import "time"

// makeWayAfter is how long, in ticks, a stream that does not come to rest goes on after it was announced again.
const makeWayAfter = ticksPerSecond * 60

// onLocked goes on after a call of the user's code: with what is in hand, or else with the reader, at once if again says so.
func (s *stream) onLocked(again bool) effects {
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	w := s.work
	if s.is(superseded) && s.clock.ticks()-s.newer > makeWayAfter {
		return s.makeWayLocked()
	}
	if len(w.messages) > 0 {
		s.phase = ready
		w.noteLocked()
		return effects{push: true}
	}
	fx := effects{release: w.bytes, wake: wakeIfRung}
	if again || w.full || s.is(superseded) || s.at.Less(w.until) {
		fx.wake = wakeNow
	}
	w.bytes, w.full = 0, false
	if s.at.Less(w.until) {
		w.noteLocked()
	} else {
		s.idleLocked()
	}
	s.phase = resting
	return fx
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
	s.phase, w.since = delayed, s.clock.now()
	s.retryLocked(d, func() effects {
		if s.phase != delayed {
			return effects{}
		}
		s.phase, s.work.timer = resting, nil
		return effects{wake: wakeNow}
	})
	return effects{release: bytes}
}

// retryLocked has f decide in d, unless what is in hand is dropped before that.
func (s *stream) retryLocked(d time.Duration, f func() effects) {
	s.counts.retrying.Add(1)
	s.work.timer = time.AfterFunc(d, func() {
		s.counts.retrying.Add(-1)
		s.after(f)
	})
}

// finishLocked ends a stream whose handler has returned Finish, or that was idle: in order, so that no message is left behind.
func (s *stream) finishLocked() effects { return s.leaveLocked(toLeave) }

// makeWayLocked ends a stream for which a newer announcement waits.
func (s *stream) makeWayLocked() effects { return s.leaveLocked(toMakeWay) }

func (s *stream) leaveLocked(how chore) effects {
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	fx := effects{chore: how}
	w := s.workLocked()
	fx.release = s.dropLocked()
	s.phase, w.since = leaving, s.clock.now()
	s.flushLocked()
	return fx
}

// noteLocked notes which message is the oldest that is not handled. Where messages are dropped to be read again, it stays.
func (w *work) noteLocked() {
	if len(w.messages) > 0 {
		w.oldest, w.behind = idOf(w.messages[0].ID), true
	}
}
