package feed

import (
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

var _ reading.Source = (*stream)(nil)

// Next says where to read on. It implements reading.Source, as Read does.
func (s *stream) Next() (after string, count int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != resting {
		s.flags |= missed
		return "", 0, false
	}
	count = s.cfg.MaxBatch
	if s.failures > 0 {
		count = 1 // the one that fails
	}
	return s.at.String(), count, true
}

// Read takes in what was read. What is not wanted any more is dropped: the stream may have been handed back meanwhile, or be ending.
func (s *stream) Read(r reading.Result) reading.Then {
	s.out.took(r.Bytes)
	s.mu.Lock()
	then, fx := s.readLocked(r)
	s.mu.Unlock()
	s.out.apply(s, fx)
	return then
}

func (s *stream) readLocked(r reading.Result) (reading.Then, effects) {
	switch {
	case s.phase != resting:
		s.metrics.Add(metrics.FeedMessages.With(metrics.MessageDropped), len(r.Messages))
		return reading.Hold, effects{release: r.Bytes}
	case s.lease.Remaining() == 0: // ended by somebody else than the feed, or about to be disowned
		s.metrics.Add(metrics.FeedMessages.With(metrics.MessageDropped), len(r.Messages))
		fx := s.stopLocked(nil, api.ErrLeaseLost)
		fx.release += r.Bytes
		return reading.Hold, fx
	case r.Err != nil:
		err := readError(s.Stream(), r.Err)
		return reading.Hold, s.stopLocked(err, err)
	case !s.at.Is(r.After):
		return reading.Again, effects{release: r.Bytes}
	case len(r.Messages) == 0:
		return s.emptyLocked(r.Info)
	}
	if err := s.checkLocked(r.Messages); err != nil {
		s.log.Warn("messages are not in order and are read again", 1, "example", s.Stream(), "err", err)
		return reading.After(time.Second), effects{release: r.Bytes}
	}
	w := s.workLocked()
	w.messages, w.bytes, w.full = r.Messages, r.Bytes, r.Full
	s.unpassLocked()
	s.flags &^= finishing
	s.phase = ready
	w.noteLocked()
	return reading.Hold, effects{push: true}
}

// checkLocked makes sure that messages follow the position and each other, as every server has them.
func (s *stream) checkLocked(messages []reading.Message) error {
	last := s.at
	for i := range messages {
		id, err := position.Parse(messages[i].ID)
		if err != nil {
			return err
		}
		if !last.Less(id) {
			return errOrder(last, id)
		}
		last = id
	}
	return nil
}

// emptyLocked is called where nothing follows the position.
func (s *stream) emptyLocked(info *reading.Info) (reading.Then, effects) {
	if info != nil {
		if found := s.lookLocked(info); found.kind != 0 {
			return s.foundLocked(found)
		}
	}
	if s.is(passing) && s.passLocked() {
		return reading.Again, effects{}
	}
	if s.work != nil { // what failed is gone
		s.idleLocked()
	}
	if s.is(superseded) {
		return reading.Hold, s.makeWayLocked()
	}
	if s.is(finishing) {
		s.flags &^= finishing
		return reading.Hold, s.finishLocked()
	}
	return reading.Rest, effects{}
}

// lookLocked looks at the stream, and notes what nobody needs to know.
func (s *stream) lookLocked(info *reading.Info) finding {
	f := look(s.at, s.seen, *info, s.changes.lately())
	s.seen = f.seen
	if f.kind == 0 {
		s.moveLocked(f.to)
	}
	return f
}

// foundLocked moves the position to where reading goes on after a gap, once OnGap was called.
func (s *stream) foundLocked(f finding) (reading.Then, effects) {
	g := Gap{Lease: s.lease, Kind: f.kind, From: s.at.String(), To: f.to.String(), Missing: f.missing}
	s.metrics.Inc(metrics.FeedGaps.With(countedGap(g.Kind)))
	s.log.Warn("a stream is not what it was", 1, "example", s.Stream(), "kind", g.Kind.String(), "from", g.From, "to", g.To, "missing", g.Missing)
	if s.cfg.OnGap != nil {
		w := s.workLocked()
		w.gap, w.to = &g, f.to
		s.phase = ready
		return reading.Hold, effects{push: true}
	}
	s.moveLocked(f.to)
	return reading.Again, effects{}
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
	if to, ok := s.unpassLocked(); ok && s.at.Less(to) && !s.changes.lately() {
		s.moveLocked(to)
	}
	return false
}
