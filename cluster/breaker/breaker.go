package breaker

import (
	"sync"
	"time"
)

const (
	// Failures in a row open a breaker.
	Failures = 5

	// Wait is how long an open one lets nothing through, when nobody tells that the node is up. An attempt that is let
	// through and tells nothing for as long is taken for one that failed.
	Wait = 10 * time.Second
)

// Set is the breakers of several nodes, told apart by a number. It is passive: now is a time on any axis, in nanoseconds.
// The zero value is ready, all closed. Safe for concurrent use.
type Set struct {
	mu struct {
		sync.Mutex
		nodes map[int]*node // those that have failures
	}
}

type node struct {
	failed int   // attempts in a row
	until  int64 // nothing is let through before; only where failed has reached Failures
}

func (n *node) open() bool { return n.failed >= Failures }

// Allow says whether an attempt at a node may be made. Each that may is followed by Failed, Worked or Unknown.
func (s *Set) Allow(id int, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nodes[id]
	if n == nil || !n.open() {
		return true
	}
	if now < n.until {
		return false
	}
	n.until = now + int64(Wait) // one at a time
	return true
}

// Failed notes an attempt that the node did not answer, and reports whether that has opened the breaker. Attempts that
// were under way when it opened change nothing.
func (s *Set) Failed(id int, now int64) (opened bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nodes[id]
	if n == nil {
		if s.mu.nodes == nil {
			s.mu.nodes = make(map[int]*node)
		}
		n = &node{}
		s.mu.nodes[id] = n
	}
	if n.open() {
		return false
	}
	if n.failed++; !n.open() {
		return false
	}
	n.until = now + int64(Wait)
	return true
}

// Worked notes that the node answered somebody, and reports whether that has closed an open breaker.
func (s *Set) Worked(id int) (closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nodes[id]
	delete(s.mu.nodes, id)
	return n != nil && n.open()
}

// Unknown notes an attempt that was given up: another one may be made.
func (s *Set) Unknown(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.mu.nodes[id]; n != nil && n.open() {
		n.until = 0
	}
}
