package virtual

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

// Test is synctest.Test, on one processor while the race detector is on. The detector of Go 1.26 keeps one state for all timers of
// a bubble, which is written both by goroutines that wait for a timer's channel and by the one that advances the time: on two
// processors they overwrite each other, and the detector crashes. What it finds does not depend on the number of processors.
func Test(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if raceDetector {
		one.enter()
		defer one.leave()
	}
	synctest.Test(t, f)
}

// one keeps the process on one processor while any test is inside.
var one single

type single struct {
	mu     sync.Mutex
	inside int
	usual  int
}

func (s *single) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside++; s.inside == 1 {
		s.usual = runtime.GOMAXPROCS(1)
	}
}

func (s *single) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside--; s.inside == 0 {
		runtime.GOMAXPROCS(s.usual)
	}
}
