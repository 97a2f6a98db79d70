package feed

import (
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// moveLocked moves the position to where reading goes on after a gap.
func (s *stream) moveLocked(to position.ID) {
	if s.at == to {
		return
	}
	if to.Less(s.at) {
		s.seen = unknown
	}
	s.at, s.failures = to, 0
	s.saveLocked()
}

// advanceLocked takes the first n messages of a batch as handled.
func (s *stream) advanceLocked(b *Batch, n int) {
	if n <= b.handled {
		return
	}
	more := n - b.handled
	b.handled = n
	s.at, s.failures = idOf(b.Messages[n-1].ID), 0
	if s.seen != unknown {
		s.seen += int64(more)
	}
	if b.changed {
		s.setStateLocked(b.state)
	}
	s.active = s.clock.ticks()
	s.metrics.Add(metrics.FeedMessages.With(metrics.MessageHandled), more)
	s.saveLocked()
	if s.trims != nil && !s.is(trimming) {
		s.flags |= trimming
		s.trims.add(s)
	}
}

// passOverLocked moves the position past one message that was not handled.
func (s *stream) passOverLocked(id string) {
	s.at, s.failures = idOf(id), 0
	if s.seen != unknown {
		s.seen++
	}
	s.saveLocked()
}

// countFailureLocked counts one more failure of the message that follows the position.
func (s *stream) countFailureLocked() {
	s.failures = min(s.failures+1, position.MaxFailures-1)
	s.saveLocked()
}

// raiseFailuresLocked notes at least so many failures, since no retry is left: whoever owns the stream next is to know.
func (s *stream) raiseFailuresLocked(least int) {
	if least = min(least, position.MaxFailures-1); int(s.failures) < least {
		s.failures = uint16(least)
		s.saveLocked()
	}
}

// saveLocked has the position stored: at once where the engine collects them anyway, and otherwise when CheckpointEvery has passed.
func (s *stream) saveLocked() {
	s.flags |= unsaved
	if s.cfg.CheckpointEvery <= DefaultCheckpointEvery || s.is(releasing) {
		s.flushLocked()
	} else if !s.is(listed) {
		s.flags |= listed
		s.later.Add(s.clock.now()+s.cfg.CheckpointEvery, s)
	}
}

// saveNow has the position stored, now that CheckpointEvery has passed.
func (s *stream) saveNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flags &^= listed
	s.flushLocked()
}

// flushLocked hands the position to the lease, whose every ending takes it along.
func (s *stream) flushLocked() {
	if s.is(unsaved) {
		s.flags &^= unsaved
		s.lease.SetCheckpoint(s.markLocked())
		s.metrics.Inc(metrics.FeedCheckpoints.With(metrics.CheckpointSet))
	}
}

// stateLocked returns the state of the program.
func (s *stream) stateLocked() string {
	if s.state == nil {
		return ""
	}
	return *s.state
}

func (s *stream) setStateLocked(state string) {
	s.state = nil
	if state != "" {
		kept := state // so that an empty one takes no memory
		s.state = &kept
	}
}

func (s *stream) markLocked() string {
	return position.Mark{At: s.at, Failures: int(s.failures), State: s.stateLocked()}.Encode()
}

// HandledUpTo returns the ID of the last message that a feed has handled, from the checkpoint of a data stream as scan.Inspector.Story
// returns it; "0-0" if it has handled none. ok is false for a checkpoint that is not one of a feed: a program's own, that of a
// schedule, or of a later version of this library.
func HandledUpTo(checkpoint string) (id string, ok bool) {
	m, err := position.Decode(checkpoint)
	if err != nil {
		return "", false
	}
	return m.At.String(), true
}

// SavedState returns what Batch.SaveState had stored, from the checkpoint of a data stream as scan.Inspector.Story returns it; "" if
// that is nothing. ok is false where it is for HandledUpTo.
func SavedState(checkpoint string) (state string, ok bool) {
	m, err := position.Decode(checkpoint)
	if err != nil {
		return "", false
	}
	return m.State, true
}
