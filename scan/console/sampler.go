package console

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// linger is for how long samples are taken after the last viewer has gone.
	linger = time.Minute
	// busyPart: reading samples takes one of so many seconds, so Redis is busy for less than that.
	busyPart = 100
	// lookBack is of how many samples the quickest counts for that: the others were not more work, but waited for something.
	lookBack = 4
	// warmUp is the longest time until the next sample before there are so many: the first ones wait for connections, and for scripts
	// that the server does not know yet.
	warmUp = 5 * time.Second
	// afterFailure is the least time until the next sample after one that brought nothing.
	afterFailure = 5 * time.Second
)

// sampler takes samples for all viewers together, while there are any. Its goroutine starts with the first viewer, and ends a
// minute after the last one, or with stop.
type sampler struct {
	read     func(ctx context.Context) *sample
	interval time.Duration
	part     time.Duration // busyPart, without a unit

	mu struct {
		sync.Mutex
		closed   bool
		running  bool
		last     *sample
		seen     time.Time             // when a page was last asked for
		watchers map[*watcher]struct{} // of live pages
		first    chan struct{}         // closed with the first sample since the loop has begun
		history  history
		took     []time.Duration // of the last samples that brought something, oldest first
	}
	ctx    context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// watcher is a live page. Its channel has the newest sample that it has not taken yet.
type watcher struct{ news chan *sample }

func newSampler(interval time.Duration, read func(ctx context.Context) *sample) *sampler {
	s := &sampler{read: read, interval: interval, part: busyPart}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.watchers = make(map[*watcher]struct{})
	return s
}

// stop ends the loop and waits for it. It may be called several times.
func (s *sampler) stop() {
	s.mu.Lock()
	s.mu.closed = true
	s.mu.Unlock()
	s.cancel()
	s.loops.Wait()
}

// current returns the newest sample, and waits for the first one. It keeps the loop running. An error is that of ctx, or errClosed.
func (s *sampler) current(ctx context.Context) (*sample, error) {
	s.mu.Lock()
	if s.mu.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	s.mu.seen = time.Now()
	s.startLocked()
	first := s.mu.first
	s.mu.Unlock()
	select {
	case <-first:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.ctx.Done():
		return nil, errClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.last, nil
}

// watch registers a live page, unless there are most already. leave must be called.
func (s *sampler) watch(most int) (w *watcher, leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed || len(s.mu.watchers) >= most {
		return nil, nil, false
	}
	w = &watcher{news: make(chan *sample, 1)}
	s.mu.watchers[w] = struct{}{}
	s.startLocked()
	return w, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.mu.watchers, w)
		s.mu.seen = time.Now()
	}, true
}

func (s *sampler) startLocked() {
	if s.mu.running {
		return
	}
	s.mu.running, s.mu.first = true, make(chan struct{})
	s.mu.history.interrupted()
	s.loops.Go(s.loop)
}

func (s *sampler) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		if s.unwatched() {
			return
		}
		timer.Reset(s.publish(s.read(s.ctx)))
	}
}

// unwatched reports whether nobody has watched for a while, and then the loop has ended.
func (s *sampler) unwatched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.watchers) > 0 || time.Since(s.mu.seen) < linger {
		return false
	}
	s.mu.running = false
	return true
}

// publish hands a sample to all viewers and returns when the next one is due.
func (s *sampler) publish(found *sample) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	found.Every = max(s.interval, afterFailure)
	if found.Known {
		s.mu.took = append(s.mu.took, found.Took)
		s.mu.took = s.mu.took[max(0, len(s.mu.took)-lookBack):]
		rest := s.part * slices.Min(s.mu.took)
		if len(s.mu.took) < lookBack {
			rest = min(rest, warmUp)
		}
		found.Every = max(s.interval, rest)
	}
	s.mu.history.add(found)
	found.Moves, found.Chart = s.mu.history.journal(), s.mu.history.chart()
	s.mu.last = found
	select {
	case <-s.mu.first:
	default:
		close(s.mu.first)
	}
	for w := range s.mu.watchers {
		select {
		case <-w.news: // it was too slow for the one before
		default:
		}
		w.news <- found
	}
	return found.Every
}
