package feed

import (
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// Added begins to read a stream. It implements engine.Layer, as the methods that follow do.
func (k *core) Added(l api.Lease) {
	s := &stream{shared: k.shared, lease: l, seen: unknown, active: k.clock.ticks()}
	if checkpoint := l.Checkpoint(); checkpoint != "" {
		mark, err := position.Decode(checkpoint)
		if err != nil {
			k.metrics.Inc(metrics.FeedCheckpoints.With(metrics.CheckpointUnreadable))
			k.log.Error("a stream has a checkpoint that is none of a feed", "example", l.Stream(), "err", err)
			k.leaver.ends.Ended(l, fmt.Errorf("feed: stream %q: %w", l.Stream(), err))
			return
		}
		s.at, s.failures = mark.At, uint16(mark.Failures)
		s.setStateLocked(mark.State) // nobody else has the stream yet
		s.flags |= resolved
		if k.cfg.OnFailure == FailStream && mark.Failures > k.cfg.retries() && l.Attempt() == 0 {
			s.flags |= pausing
		}
	}
	k.streams.add(s)
	if k.cfg.OnStart == nil {
		s.flags |= started
		k.starter.begin(s)
		return
	}
	s.after(func() effects {
		s.workLocked()
		s.phase = ready
		return effects{push: true}
	})
}

// owned returns the stream that is read under a lease, nil if its reading has ended.
func (k *core) owned(l api.Lease) *stream {
	if s := k.streams.find(l.Stream()); s != nil && s.lease == l {
		return s
	}
	return nil
}

// Releasing ends a stream as soon as no code of the user runs for it.
func (k *core) Releasing(l api.Lease, why error) { k.interrupt(l, releasing, why) }

// Disowned does the same with a stream that was lost; nothing more is stored.
func (k *core) Disowned(l api.Lease, why error) { k.interrupt(l, lost, why) }

func (k *core) interrupt(l api.Lease, f flags, why error) {
	if s := k.owned(l); s != nil {
		s.after(func() effects { return s.interruptLocked(f, why) })
	}
}

func (s *stream) interruptLocked(f flags, why error) effects {
	s.flags |= f
	if f == releasing {
		if errors.Is(why, api.ErrRebalanced) {
			s.flags |= rebalanced
		}
		s.flushLocked() // what has it may not end in time
	}
	if s.busyElsewhereLocked() {
		return effects{}
	}
	return s.stopLocked(nil, why)
}

// Superseded makes way for a newer announcement at the next rest.
//
// That is by Done: this announcement is acknowledged, and whoever has the newer one gets the stream, with the position. To hand this one
// back would leave two announcements of the stream for ever, which would supersede each other in turn. Nothing is stranded: the
// newer one stands for all messages that are unread.
func (k *core) Superseded(l api.Lease) {
	if s := k.owned(l); s != nil {
		s.after(s.supersededLocked)
	}
}

func (s *stream) supersededLocked() effects {
	if s.is(superseded) {
		return effects{}
	}
	s.flags |= superseded
	s.newer = s.clock.ticks()
	switch s.phase {
	case resting:
		return effects{wake: wakeNow} // one more read: where it brings nothing, the stream rests
	case delayed:
		return s.makeWayLocked()
	}
	return effects{}
}

// Signaled passes a signal on.
func (k *core) Signaled(l api.Lease, payload []byte) {
	if s := k.owned(l); s != nil {
		k.signals.add(s, payload)
	}
}

// SignalsMissed does nothing: the signals of a feed are what producers send to its user, and cannot be known here.
func (k *core) SignalsMissed(int) {}

// Topology notes that a server has changed.
func (k *core) Topology() {
	k.changes.note()
	k.reader.Topology()
}
