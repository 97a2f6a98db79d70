package feed

import (
	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// workLocked returns the work of a stream, which is busy from now on.
func (s *stream) workLocked() *work {
	if s.work == nil {
		s.work = &work{}
		s.busy.Add(&s.work.place, s)
	}
	return s.work
}

// idleLocked ends the work of a stream.
func (s *stream) idleLocked() {
	if s.work != nil {
		s.busy.Remove(&s.work.place)
		s.work = nil
	}
}

// dropLocked drops the messages in hand and returns their bytes.
func (s *stream) dropLocked() (bytes int) {
	w := s.work
	if w.timer != nil && w.timer.Stop() {
		s.counts.retrying.Add(-1)
	}
	s.metrics.Add(metrics.FeedMessages.With(metrics.MessageDropped), len(w.messages))
	bytes = w.bytes
	w.timer, w.messages, w.bytes, w.full, w.gap, w.skip = nil, nil, 0, false, nil, nil
	return bytes
}

// stopLocked ends the ownership: what was read and not begun is dropped, and after OnStop the lease is handed back, or failed with
// err. It must not be called while code of the user runs. why is for OnStop.
func (s *stream) stopLocked(err, why error) effects {
	if s.phase == over {
		return effects{}
	}
	fx := effects{remove: true}
	if w := s.work; w != nil {
		if w.stopping {
			return effects{}
		}
		fx.release = s.dropLocked()
	}
	s.flushLocked()
	if s.cfg.OnStop != nil && s.is(started) {
		w := s.workLocked()
		w.stopping, w.err, w.why = true, err, why
		s.phase, fx.push = ready, s.signals == 0 // else the end of its signals does that
		return fx
	}
	return s.endLocked(fx, err)
}

// endLocked ends the stream, unless its signals are being delivered: then the end of that does.
func (s *stream) endLocked(fx effects, err error) effects {
	s.phase = over
	s.unpassLocked()
	if s.signals > 0 {
		s.workLocked().err = err
		return fx
	}
	s.idleLocked()
	fx.ended, fx.err = true, err
	return fx
}

// endsLocked ends a stream that is to be handed back or was lost. It is asked after each call of the user's code.
func (s *stream) endsLocked() (effects, bool) {
	switch {
	case s.is(lost) || s.lease.Remaining() == 0:
		return s.stopLocked(nil, api.ErrLeaseLost), true
	case s.is(releasing):
		return s.stopLocked(nil, s.releasingLocked()), true
	}
	return effects{}, false
}

// releasingLocked returns why a stream is to be handed back.
func (s *stream) releasingLocked() error {
	if s.is(rebalanced) {
		return api.ErrRebalanced
	}
	return api.ErrDraining
}

// busyElsewhereLocked reports whether somebody has the stream who looks at its flags when done, so that it must not be stopped now.
func (s *stream) busyElsewhereLocked() bool {
	switch s.phase {
	case running, kept, leaving, over:
		return true
	}
	return s.is(attaching)
}

// unpassLocked forgets the ID of passLocked.
func (s *stream) unpassLocked() (to position.ID, ok bool) {
	if !s.is(passing) {
		return to, false
	}
	s.flags &^= passing | passed
	return s.passes.take(s)
}
