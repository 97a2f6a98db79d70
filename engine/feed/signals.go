package feed

import (
	"sync"

	"github.com/streamlease/streamlease/api"
)

// maxSignals is how many signals of a stream wait at most.
const maxSignals = 16

// signals are those that wait for OnSignal, in order for each stream. They do not wait for batches: a signal may be about one.
type signals struct {
	sync.Mutex
	waiting map[*stream][][]byte // there while a worker has it, too
}

// add queues a signal of a stream, unless that has ended, or only OnStop is still to be called for it.
func (q *signals) add(s *stream, payload []byte) {
	s.mu.Lock()
	if s.pastSignalsLocked() {
		s.mu.Unlock()
		return
	}
	s.signals = 1
	q.Lock()
	waiting, begun := q.waiting[s]
	if len(waiting) >= maxSignals {
		waiting = waiting[1:]
	}
	q.waiting[s] = append(waiting, payload)
	q.Unlock()
	s.mu.Unlock()
	if !begun {
		s.core.workers.Add(task{stream: s, signal: true})
	}
}

// take returns the next signal of a stream. Where there is none, the stream has no more.
func (q *signals) take(s *stream) (payload []byte, ok bool) {
	q.Lock()
	defer q.Unlock()
	waiting := q.waiting[s]
	if len(waiting) == 0 {
		delete(q.waiting, s)
		return nil, false
	}
	q.waiting[s] = waiting[1:]
	return waiting[0], true
}

// signal delivers one signal of a stream, and then goes to the back of the queue.
func (k *core) signal(s *stream) {
	s.mu.Lock()
	payload, ok := k.signals.take(s)
	if !ok {
		s.signals = 0
		var fx effects
		switch {
		case s.work != nil && s.work.stopping:
			fx.push = true // to OnStop, which has waited for this
		case s.phase == over:
			var err error
			if s.work != nil {
				err = s.work.err
			}
			fx = s.endLocked(fx, err)
		}
		s.mu.Unlock()
		s.apply(fx)
		return
	}
	ended := s.pastSignalsLocked()
	s.mu.Unlock()
	again := func(error) {
		s.after(s.endedLocked)
		k.workers.Add(task{stream: s, signal: true})
	}
	if ended || s.lease.Remaining() == 0 {
		again(nil)
		return
	}
	k.guarded("OnSignal", func() error { k.cfg.OnSignal(s.lease.Context(), s.lease, payload); return nil }, again)
}

// pastSignalsLocked reports whether OnSignal is not called for the stream any more.
func (s *stream) pastSignalsLocked() bool {
	return s.phase == over || s.work != nil && s.work.stopping
}

// endedLocked ends the reading of a stream whose lease OnSignal has ended, which nobody else reports.
func (s *stream) endedLocked() effects {
	switch s.phase {
	case running, kept, leaving, over:
		return effects{}
	}
	if s.lease.Remaining() > 0 || s.is(attaching) {
		return effects{}
	}
	return s.stopLocked(nil, api.ErrLeaseLost)
}

// panicked counts and logs a panic of the user's code.
func (k *core) panicked(where string, err error) {
	if p, ok := asPanic(err); ok {
		k.countPanic(where, p)
	}
}
