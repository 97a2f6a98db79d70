package feed

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
)

// startDelays are the waits before a stream is tried again whose beginning could not be found. Where it could not be stored, the wait does
// not grow: the engine itself spreads what it stores.
var startDelays = backoff.Exponential{First: 2 * time.Second, Max: time.Minute, Jitter: 0.2}

// starter hands streams to the reader, each once it is known where it begins.
type starter struct {
	start   Start
	reader  *lateReader
	log     *sumlog.Logger
	metrics *metrics.Metrics
}

// begin has a stream read, once it is known where it begins.
//
// With Earliest that is known: what nobody has handled begins with the first message, however often it is asked. With Latest it is
// what the stream ends with now, and must be stored before anything is read: else the next owner after a crash would begin
// with a later end, and what came in between would be skipped.
func (b *starter) begin(s *stream) {
	if b.start == Latest && !s.is(resolved) {
		s.out.apply(s, effects{chore: toResolve})
		return
	}
	b.attach(s)
}

// resolve finds the end of the stream and stores it.
func (b *starter) resolve(s *stream) {
	s.mu.Lock()
	waits := s.phase == starting
	s.mu.Unlock()
	if !waits {
		return
	}
	if err := b.storeEnd(s); err != nil {
		s.after(func() effects { return b.unresolvedLocked(s, err) })
		return
	}
	b.metrics.Inc(metrics.FeedCheckpoints.With(metrics.CheckpointStarted))
	b.attach(s)
}

// unresolvedLocked tries again later, unless no retry helps.
func (b *starter) unresolvedLocked(s *stream, err error) effects {
	if s.phase != starting {
		return effects{}
	}
	if isWrongType(err) {
		err = readError(s.Stream(), err)
		return s.stopLocked(err, err)
	}
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	b.metrics.Inc(metrics.FeedCheckpoints.With(metrics.CheckpointFailed))
	b.log.Warn("where a stream begins could not be stored", 1, "example", s.Stream(), "err", err)
	w := s.workLocked()
	if !s.is(resolved) {
		w.tries++
	}
	s.retryLocked(startDelays.Delay(w.tries, rand.Float64()), func() effects { return effects{chore: toResolve} })
	return effects{}
}

// storeEnd finds the end of the stream, once, and stores it.
func (b *starter) storeEnd(s *stream) error {
	ctx, cancel := context.WithTimeout(s.lease.Context(), stepTimeout)
	defer cancel()
	s.mu.Lock()
	known := s.is(resolved)
	s.mu.Unlock()
	if !known {
		last, err := b.reader.lastID(ctx, s.Stream())
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.at = last
		s.flags |= resolved
		s.mu.Unlock()
	}
	s.mu.Lock()
	mark := s.markLocked()
	s.mu.Unlock()
	return s.lease.SaveCheckpoint(ctx, mark)
}

// attach hands the stream to the reader. It does not end meanwhile: once it has, the process may own it again, and the reader takes
// the last source that it is given for the stream.
func (b *starter) attach(s *stream) {
	s.mu.Lock()
	if s.phase != starting {
		s.mu.Unlock()
		return
	}
	s.flags |= attaching
	s.mu.Unlock()
	h := b.reader.Add(s)
	s.after(func() effects {
		s.flags &^= attaching
		s.handle = h
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		if s.is(pausing) {
			return s.pauseLocked()
		}
		s.idleLocked()
		s.phase = resting
		if s.is(missed) || s.is(superseded) {
			return effects{wake: wakeNow}
		}
		return effects{}
	})
}

// pauseLocked has a stream wait whose message is known to fail. Its last announcement was dead-lettered, or waits to be tried again, and so
// nobody owned it: whoever sends to it announces it, and the message would be tried as often. Owned, it is not announced.
func (s *stream) pauseLocked() effects {
	s.flags &^= pausing
	if s.is(superseded) {
		return s.makeWayLocked()
	}
	s.workLocked()
	return s.dropAndDelayLocked(retryDelay(s.cfg, int(s.failures)))
}
