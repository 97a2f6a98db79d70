package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

const (
	// stepTimeout bounds one round trip of what is done for a stream apart from reading.
	stepTimeout = 5 * time.Second
	// startAgain is the wait before a stream whose beginning could not be stored is tried again.
	startAgain = 2 * time.Second
)

// begin has a stream read, once it is known where it begins.
//
// With Earliest that is known: what nobody has handled begins with the first message, however often it is asked. With Latest it is
// what the stream ends with now, and must be stored before anything is read: else the next owner after a crash would begin
// with a later end, and what came in between would be skipped.
func (s *stream) begin() {
	if s.core.cfg.Start == Latest && !s.is(resolved) {
		s.core.chores.Add(s.resolve)
		return
	}
	s.attach()
}

// resolve finds the end of the stream and stores it.
func (s *stream) resolve() {
	s.mu.Lock()
	waits := s.phase == starting
	s.mu.Unlock()
	if !waits {
		return
	}
	err := s.resolved()
	if err == nil {
		s.core.metrics.Inc(metrics.FeedCheckpoints.With(metrics.CheckpointStarted))
		s.attach()
		return
	}
	s.mu.Lock()
	fx, ends := effects{}, true
	if s.phase == starting {
		if isWrongType(err) {
			err = readError(s.Stream(), err)
			fx = s.stopLocked(err, err)
		} else if fx, ends = s.endsLocked(); !ends {
			s.core.metrics.Inc(metrics.FeedCheckpoints.With(metrics.CheckpointFailed))
			s.core.log.Warn("where a stream begins could not be stored", 1, "example", s.Stream(), "err", err)
			w := s.workLocked()
			w.timer = time.AfterFunc(startAgain, func() { s.core.retrying.Add(-1); s.core.chores.Add(s.resolve) })
			s.core.retrying.Add(1)
		}
	}
	s.mu.Unlock()
	s.apply(fx)
}

// resolved finds the end of the stream, once, and stores it.
func (s *stream) resolved() error {
	ctx, cancel := context.WithTimeout(s.lease.Context(), stepTimeout)
	defer cancel()
	s.mu.Lock()
	known := s.is(resolved)
	s.mu.Unlock()
	if !known {
		last, err := s.core.lastID(ctx, s.Stream())
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
func (s *stream) attach() {
	s.mu.Lock()
	if s.phase != starting {
		s.mu.Unlock()
		return
	}
	s.flags |= attaching
	s.mu.Unlock()
	h := s.core.reader.Add(s)
	s.mu.Lock()
	s.flags &^= attaching
	s.handle = h
	if fx, ends := s.endsLocked(); ends {
		s.mu.Unlock()
		s.apply(fx)
		return
	}
	if s.is(pausing) {
		fx := s.pauseLocked()
		s.mu.Unlock()
		s.apply(fx)
		return
	}
	s.idleLocked()
	s.phase = resting
	fx := effects{}
	if s.is(missed) || s.is(superseded) {
		fx.wake = wakeNow
	}
	s.mu.Unlock()
	s.apply(fx)
}

// pauseLocked has a stream wait whose message is known to fail. Its last announcement was dead-lettered, or waits to be tried again, and so
// nobody owned it: whoever sends to it announces it, and the message would be tried as often. Owned, it is not announced.
func (s *stream) pauseLocked() effects {
	s.flags &^= pausing
	if s.is(superseded) {
		return s.makeWayLocked()
	}
	s.workLocked()
	return s.dropAndDelayLocked(s.core.delay(int(s.failures)))
}

// lastID returns the greatest ID that the stream ever had; the zero ID where there is none.
func (k *core) lastID(ctx context.Context, stream string) (position.ID, error) {
	text, err := k.reader.LastID(ctx, stream)
	if err != nil || text == "" {
		return position.ID{}, err
	}
	id, err := position.Parse(text)
	if err != nil {
		return position.ID{}, fmt.Errorf("feed: the last ID of %q: %w", stream, err)
	}
	return id, nil
}

// hasEnded reports whether an error of a lease's method says that the lease has ended.
func hasEnded(err error) bool {
	return errors.Is(err, api.ErrLeaseLost) || errors.Is(err, api.ErrNotHeld)
}

// isWrongType reports whether a key is of another type, which no retry changes.
func isWrongType(err error) bool {
	redisErr, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redisErr.Error(), "WRONGTYPE")
}
