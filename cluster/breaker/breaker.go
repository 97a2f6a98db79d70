package breaker

import (
	"sync"
	"time"
)

const (
	// Failures is how many failures in a row open a breaker.
	Failures = 5

	// Wait is how long an open breaker allows nothing, unless someone reports that the node is up. An attempt that was
	// allowed and reports nothing for that long counts as failed.
	Wait = 10 * time.Second
)

// Set holds the breakers of several nodes, identified by number. It is passive: now is a time on any axis, in nanoseconds.
// The zero value is ready to use, all breakers closed. Safe for concurrent use.
type Set struct {
	mu struct {
		sync.Mutex
		nodes map[int]*node // those with failures
	}
}

type node struct {
	failed int   // failed attempts in a row
	until  int64 // nothing is allowed before; set only if failed has reached Failures
}

func (n *node) open() bool { return n.failed >= Failures }

// Allow reports whether an attempt on a node may be made. Each allowed attempt must be followed by Failed, Worked or Unknown.
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

// Failed records an attempt that the node did not answer, and reports whether that opened the breaker. Attempts that were
// in progress when it opened change nothing.
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

// Worked records that the node answered someone, and reports whether that closed an open breaker.
func (s *Set) Worked(id int) (closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nodes[id]
	delete(s.mu.nodes, id)
	return n != nil && n.open()
}

// Unknown records an attempt that was abandoned: another one may be made.
func (s *Set) Unknown(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.mu.nodes[id]; n != nil && n.open() {
		n.until = 0
	}
}
