package feed

import (
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

var _ origin = (*stream)(nil)

// Lock locks the stream. It is for a batch of it.
func (s *stream) Lock() { s.mu.Lock() }

// Unlock unlocks it.
func (s *stream) Unlock() { s.mu.Unlock() }

// batchLocked makes the next batch of the messages in hand.
func (s *stream) batchLocked() *Batch {
	w := s.work
	n := len(w.messages)
	if s.failures > 0 || s.at.Less(w.until) {
		n = 1
	}
	b := &Batch{Lease: s.lease, Messages: received(w.messages[:n]), from: s, state: s.stateLocked(), began: time.Now()}
	w.batch = b
	return b
}

// end ends a batch, unless it has ended. What follows is decided once the handler has returned, too.
func (s *stream) end(b *Batch, err error) {
	s.after(func() effects {
		if b.ended {
			return effects{}
		}
		b.ended, b.err = true, err
		if !b.returned {
			return effects{}
		}
		return s.concludeLocked(b)
	})
}

// returnedLocked is called when the handler has returned.
func (s *stream) returnedLocked(b *Batch, err error) effects {
	b.returned = true
	if !b.ended {
		if b.keeps && err == nil {
			s.phase = kept
			b.bytes = s.work.bytes
			s.counts.keep(b.bytes)
			return effects{}
		}
		b.ended, b.err = true, err
	}
	return s.concludeLocked(b)
}

// concludeLocked decides what follows the end of a batch.
func (s *stream) concludeLocked(b *Batch) effects {
	w := s.work
	w.batch = nil
	if s.phase == kept {
		s.counts.unkeep(b.bytes)
	}
	s.metrics.Observe(metrics.FeedHandling, time.Since(b.began).Seconds())
	if s.lease.Remaining() == 0 {
		s.metrics.Inc(metrics.FeedBatches.With(metrics.BatchLost))
		return s.stopLocked(nil, api.ErrLeaseLost)
	}
	v := judge(b, b.err)
	s.advanceLocked(b, v.handled)
	w.messages = w.messages[b.handled:]
	if b.changed && b.handled == len(b.Messages) && s.stateLocked() != b.state { // set after Upto of the last message
		s.setStateLocked(b.state)
		s.saveLocked()
	}
	if v.err == nil {
		s.metrics.Inc(metrics.FeedBatches.With(metrics.BatchHandled))
		if v.finish {
			return s.finishLocked()
		}
		return s.onLocked(false)
	}
	s.metrics.Inc(metrics.FeedBatches.With(metrics.BatchFailed))
	s.metrics.Add(metrics.FeedMessages.With(metrics.MessageFailed), len(b.Messages)-b.handled)
	return s.failedLocked(v)
}

// toldLocked is called after OnGap.
func (s *stream) toldLocked() effects {
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	s.moveLocked(s.work.to)
	s.work.gap = nil
	return s.onLocked(true)
}
