package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// signal wakes everybody who waits for something to change. The waiter takes the channel, looks, and waits on it, so
// that no change between the look and the wait is missed. Nothing is done where nobody waits.
type signal struct {
	waiters atomic.Int32
	mu      sync.Mutex
	ch      chan struct{}
}

// wait calls ok until it reports true, each time something may have changed; false when ctx ends first.
func (s *signal) wait(ctx context.Context, ok func() bool) bool {
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	for {
		s.mu.Lock()
		if s.ch == nil {
			s.ch = make(chan struct{})
		}
		ch := s.ch
		s.mu.Unlock()
		if ok() {
			return true
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return false
		}
	}
}

func (s *signal) broadcast() {
	if s.waiters.Load() == 0 {
		return
	}
	s.mu.Lock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
	s.mu.Unlock()
}

// pause waits, unless ctx ends first; it reports whether it waited.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
