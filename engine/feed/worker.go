package feed

import (
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// worker handles the messages of streams, and calls the hooks that come before, between and after them. It runs on all goroutines of the
// pool of workers.
type worker struct {
	handler Handler
	cfg     *Config
	clock   clock
	metrics *metrics.Metrics
	user    userCode
	starter *starter
	watch   *watch
}

// run makes one call of the user's code for a stream, which goes to the back of the queue after that.
func (w *worker) run(s *stream) {
	s.mu.Lock()
	if s.phase != ready {
		s.mu.Unlock()
		return // handed back or lost since
	}
	if !s.work.stopping && s.lease.Remaining() == 0 {
		fx := s.stopLocked(nil, api.ErrLeaseLost)
		s.mu.Unlock()
		s.out.apply(s, fx)
		return
	}
	s.phase, s.work.since = running, w.clock.now()
	call := w.nextLocked(s)
	s.mu.Unlock()
	call()
}

// nextLocked returns the next call for a stream. Each ends with the stream in another phase.
func (w *worker) nextLocked(s *stream) func() {
	l, work := s.lease, s.work
	switch {
	case work.stopping:
		why, err := work.why, work.err
		return func() {
			w.user.call("OnStop", func() error { w.cfg.OnStop(l, why); return nil }, func(error) {
				s.after(func() effects { return s.endLocked(effects{}, err) })
			})
		}
	case w.cfg.OnStart != nil && !s.is(started):
		state := s.stateLocked()
		return func() {
			w.user.call("OnStart", func() error { return w.cfg.OnStart(l.Context(), l, state) }, func(err error) { w.begun(s, err) })
		}
	case work.skip != nil:
		skip := *work.skip
		return func() {
			w.user.call("OnSkip", func() error { return w.cfg.OnSkip(l.Context(), l, Message(skip.message), skip.err) }, func(err error) {
				s.after(func() effects { return s.skippedLocked(err) })
			})
		}
	case work.gap != nil:
		gap := *work.gap
		return func() {
			w.user.call("OnGap", func() error { w.cfg.OnGap(l.Context(), gap); return nil }, func(error) { s.after(s.toldLocked) })
		}
	}
	b := s.batchLocked()
	return func() {
		w.fresh(b)
		w.user.call("the handler", func() error { return w.handler(l.Context(), b) }, func(err error) { w.returned(s, b, err) })
	}
}

// begun is called with the error of OnStart.
func (w *worker) begun(s *stream, err error) {
	begins := false
	s.after(func() effects {
		if err != nil {
			return s.stopLocked(err, err)
		}
		s.flags |= started
		if fx, ends := s.endsLocked(); ends {
			return fx
		}
		s.idleLocked()
		s.phase = starting
		begins = true
		return effects{}
	})
	if begins {
		w.starter.begin(s)
	}
}

// returned is called when the handler has returned.
func (w *worker) returned(s *stream, b *Batch, err error) {
	keeps := false
	s.after(func() effects {
		fx := s.returnedLocked(b, err)
		keeps = s.phase == kept
		return fx
	})
	if keeps {
		w.watch.warnOfKept()
	}
}

// fresh counts how old the first message of a batch is.
func (w *worker) fresh(b *Batch) {
	age := time.Since(idOf(b.Messages[0].ID).Time())
	if age < madeUp && age > -madeUp {
		w.metrics.Observe(metrics.FeedLatency, max(0, age.Seconds()))
	}
}
