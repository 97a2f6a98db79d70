package feed

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/pool"
)

// maxSignals is how many signals of a stream wait at most.
const maxSignals = 16

// signals are those that wait for OnSignal, in order for each stream. They do not wait for batches: a signal may be about one.
type signals struct {
	onSignal func(ctx context.Context, l api.Lease, payload []byte)
	user     userCode
	workers  *pool.Pool[task]

	mu struct {
		sync.Mutex
		waiting map[*stream][][]byte // there while a worker has it, too
	}
}

func newSignals(c *Config, user userCode, workers *pool.Pool[task]) *signals {
	q := &signals{onSignal: c.OnSignal, user: user, workers: workers}
	q.mu.waiting = make(map[*stream][][]byte)
	return q
}

// add queues a signal of a stream, unless that has ended, or only OnStop is still to be called for it.
func (q *signals) add(s *stream, payload []byte) {
	if q.onSignal == nil {
		return
	}
	s.mu.Lock()
	if s.pastSignalsLocked() {
		s.mu.Unlock()
		return
	}
	s.signals = 1
	begun := q.put(s, payload)
	s.mu.Unlock()
	if !begun {
		q.workers.Add(task{stream: s, signal: true})
	}
}

// put queues a signal. It reports whether the delivery of those of the stream has begun.
func (q *signals) put(s *stream, payload []byte) (begun bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting, begun := q.mu.waiting[s]
	if len(waiting) >= maxSignals {
		waiting = waiting[1:]
	}
	q.mu.waiting[s] = append(waiting, payload)
	return begun
}

// take returns the next signal of a stream. Where there is none, the stream has no more.
func (q *signals) take(s *stream) (payload []byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.mu.waiting[s]
	if len(waiting) == 0 {
		delete(q.mu.waiting, s)
		return nil, false
	}
	q.mu.waiting[s] = waiting[1:]
	return waiting[0], true
}

// deliver delivers one signal of a stream, and then goes to the back of the queue. A worker calls it.
func (q *signals) deliver(s *stream) {
	s.mu.Lock()
	payload, ok := q.take(s)
	if !ok {
		fx := s.deliveredLocked()
		s.mu.Unlock()
		s.out.apply(s, fx)
		return
	}
	ended := s.pastSignalsLocked()
	s.mu.Unlock()
	again := func(error) {
		s.after(s.endedLocked)
		q.workers.Add(task{stream: s, signal: true})
	}
	if ended || s.lease.Remaining() == 0 {
		again(nil)
		return
	}
	q.user.call("OnSignal", func() error { q.onSignal(s.lease.Context(), s.lease, payload); return nil }, again)
}

// deliveredLocked notes that no signal is left. A stream that is to end has waited for that.
func (s *stream) deliveredLocked() effects {
	s.signals = 0
	switch {
	case s.work != nil && s.work.stopping:
		return effects{push: true} // to OnStop, which has waited for this
	case s.phase == over:
		var err error
		if s.work != nil {
			err = s.work.err
		}
		return s.endLocked(effects{}, err)
	}
	return effects{}
}

// pastSignalsLocked reports whether OnSignal is not called for the stream any more.
func (s *stream) pastSignalsLocked() bool {
	return s.phase == over || s.work != nil && s.work.stopping
}

// endedLocked ends the reading of a stream whose lease OnSignal has ended, which nobody else reports.
func (s *stream) endedLocked() effects {
	if s.busyElsewhereLocked() || s.lease.Remaining() > 0 {
		return effects{}
	}
	return s.stopLocked(nil, api.ErrLeaseLost)
}
