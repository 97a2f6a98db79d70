package feed

import (
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/engine/internal/guard"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// work is what a stream needs while it is busy. The mutex of the stream guards it, its place in the busy list aside.
type work struct {
	stream   *stream
	messages []reading.Message // read and not handled
	bytes    int               // what they take of the budget
	full     bool              // there may be more in Redis
	batch    *Batch            // being handled
	until    position.ID       // up to here, messages come one at a time
	skip     *skipped
	gap      *Gap // to be told, before the position moves to
	to       position.ID
	timer    *time.Timer // of the next try
	stopping bool        // OnStop, and then the end, with err
	err, why error
	since    time.Duration // when a worker or the user got it

	place
}

// skipped is a message that is about to be passed over.
type skipped struct {
	message reading.Message
	err     error
}

// workLocked returns the work of a stream, which is busy from now on.
func (s *stream) workLocked() *work {
	if s.work == nil {
		s.work = &work{stream: s}
		s.core.busy.add(s.work)
	}
	return s.work
}

// idleLocked ends the work of a stream.
func (s *stream) idleLocked() {
	if s.work != nil {
		s.core.busy.remove(s.work)
		s.work = nil
	}
}

// run is what a worker does for a stream: one call of the user's code, after which the stream goes to the back of the queue.
func (k *core) run(t task) {
	s := t.stream
	if t.signal {
		k.signal(s)
		return
	}
	s.mu.Lock()
	if s.phase != ready {
		s.mu.Unlock()
		return // handed back or lost since
	}
	w := s.work
	if !w.stopping && s.lease.Remaining() == 0 {
		fx := s.stopLocked(nil, api.ErrLeaseLost)
		s.mu.Unlock()
		s.apply(fx)
		return
	}
	s.phase, w.since = running, k.now()
	call := k.nextLocked(s, w)
	s.mu.Unlock()
	call()
}

// nextLocked returns the next call for a stream. Each ends with the stream in another phase.
func (k *core) nextLocked(s *stream, w *work) func() {
	switch {
	case w.stopping:
		why, err := w.why, w.err
		return func() {
			k.guarded("OnStop", func() error { k.cfg.OnStop(s.lease, why); return nil }, func(error) {
				s.after(func() effects { return s.endLocked(effects{}, err) })
			})
		}
	case k.cfg.OnStart != nil && !s.is(started):
		state := s.state
		return func() {
			k.guarded("OnStart", func() error { return k.cfg.OnStart(s.lease.Context(), s.lease, state) }, s.begun)
		}
	case w.skip != nil:
		skip := *w.skip
		return func() {
			k.guarded("OnSkip", func() error {
				return k.cfg.OnSkip(s.lease.Context(), s.lease, Message(skip.message), skip.err)
			}, func(err error) { s.after(func() effects { return s.skippedLocked(err) }) })
		}
	case w.gap != nil:
		gap := *w.gap
		return func() {
			k.guarded("OnGap", func() error { k.cfg.OnGap(s.lease.Context(), gap); return nil }, func(error) {
				s.after(s.toldLocked)
			})
		}
	}
	b := s.batchLocked(w)
	return func() {
		k.fresh(b)
		guard.Finally(func() error { return guard.Error(k.handler(s.lease.Context(), b)) }, func(err error) { s.returned(b, err) })
	}
}

// guarded calls a hook and then done with its error. A hook that panics has an error.
func (k *core) guarded(hook string, f func() error, done func(error)) {
	guard.Finally(func() error { return guard.Error(f()) }, func(err error) {
		k.panicked(hook, err)
		done(err)
	})
}

// after applies what f decides, with the mutex locked, after a call of the user's code.
func (s *stream) after(f func() effects) {
	s.mu.Lock()
	fx := f()
	s.mu.Unlock()
	s.apply(fx)
}

// begun is called with the error of OnStart.
func (s *stream) begun(err error) {
	s.mu.Lock()
	if err != nil {
		fx := s.stopLocked(err, err)
		s.mu.Unlock()
		s.apply(fx)
		return
	}
	s.flags |= started
	if fx, ends := s.endsLocked(); ends {
		s.mu.Unlock()
		s.apply(fx)
		return
	}
	s.idleLocked()
	s.phase = starting
	s.mu.Unlock()
	s.begin()
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

// endsLocked ends a stream that is to be handed back or was lost. It is asked after each call of the user's code.
func (s *stream) endsLocked() (effects, bool) {
	switch {
	case s.is(lost) || s.lease.Remaining() == 0:
		return s.stopLocked(nil, api.ErrLeaseLost), true
	case s.is(releasing):
		return s.stopLocked(nil, api.ErrReleasing), true
	}
	return effects{}, false
}

// batchLocked makes the next batch of the messages in hand.
func (s *stream) batchLocked(w *work) *Batch {
	n := len(w.messages)
	if s.failures > 0 || s.at.Less(w.until) {
		n = 1
	}
	b := &Batch{Lease: s.lease, Messages: received(w.messages[:n]), stream: s, state: s.state, began: time.Now()}
	w.batch = b
	return b
}

// returned is called when the handler has returned.
func (s *stream) returned(b *Batch, err error) {
	s.core.panicked("the handler", err)
	s.mu.Lock()
	b.returned = true
	if !b.ended {
		if b.keeps && err == nil {
			s.phase = kept
			b.bytes = s.work.bytes
			s.core.kept.Add(1)
			s.core.keptBytes.Add(int64(b.bytes))
			s.mu.Unlock()
			s.apply(effects{keeps: true})
			return
		}
		b.ended, b.err = true, err
	}
	fx := s.concludeLocked(b)
	s.mu.Unlock()
	s.apply(fx)
}

// concludeLocked decides what follows the end of a batch.
func (s *stream) concludeLocked(b *Batch) effects {
	w := s.work
	w.batch = nil
	if s.phase == kept {
		s.core.kept.Add(-1)
		s.core.keptBytes.Add(int64(-b.bytes))
	}
	s.core.metrics.Observe(metrics.FeedHandling, time.Since(b.began).Seconds())
	if s.lease.Remaining() == 0 {
		s.core.metrics.Inc(metrics.FeedBatches.With(metrics.BatchLost))
		return s.stopLocked(nil, api.ErrLeaseLost)
	}
	v := judge(b, b.err)
	s.advanceLocked(b, v.handled)
	w.messages = w.messages[b.handled:]
	if b.changed && b.handled == len(b.Messages) && s.state != b.state { // set after Upto of the last message
		s.state = b.state
		s.saveLocked()
	}
	if v.err == nil {
		s.core.metrics.Inc(metrics.FeedBatches.With(metrics.BatchHandled))
		if v.finish {
			return s.finishLocked()
		}
		return s.onLocked(false)
	}
	s.core.metrics.Inc(metrics.FeedBatches.With(metrics.BatchFailed))
	s.core.metrics.Add(metrics.FeedMessages.With(metrics.MessageFailed), len(b.Messages)-b.handled)
	return s.failedLocked(v)
}

// onLocked goes on after a call of the user's code: with what is in hand, or else with the reader, at once if again says so.
func (s *stream) onLocked(again bool) effects {
	if fx, ends := s.endsLocked(); ends {
		return fx
	}
	w := s.work
	if s.is(superseded) && s.core.ticks()-s.newer > makeWayAfter {
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

// fresh counts how old the first message of a batch is.
func (k *core) fresh(b *Batch) {
	age := time.Since(idOf(b.Messages[0].ID).Time())
	if age < madeUp && age > -madeUp {
		k.metrics.Observe(metrics.FeedLatency, max(0, age.Seconds()))
	}
}

// madeUp is the age beyond which an ID is no time: producers may choose IDs.
const madeUp = 10 * 365 * 24 * time.Hour
