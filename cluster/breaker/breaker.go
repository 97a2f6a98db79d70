package breaker

import "sync"

// Set holds the breakers of several nodes, identified by number. It is passive: now is a time on any axis, in nanoseconds. New
// makes one, all breakers closed. Safe for concurrent use.
type Set struct {
	cfg Config

	mu struct {
		sync.Mutex
		nodes map[int]*node // those with failures
	}
}

type node struct {
	failed int   // failed attempts in a row; as many as Config.Failures: the breaker is open
	until  int64 // of an open breaker: end of the time in which nothing but the remaining trials is allowed
	trials int   // how many more are allowed before then
}

// New returns a Set. Zeros of cfg are replaced by their defaults.
func New(cfg Config) *Set {
	s := &Set{cfg: cfg.WithDefaults()}
	s.mu.nodes = make(map[int]*node)
	return s
}

func (s *Set) open(n *node) bool { return n != nil && n.failed >= s.cfg.Failures }

// Allow reports whether an attempt on a node may be made. Each allowed attempt must be followed by Failed, Worked or Unknown.
func (s *Set) Allow(id int, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nodes[id]
	if !s.open(n) {
		return true
	}
	if now >= n.until {
		n.until, n.trials = now+int64(s.cfg.Wait), s.cfg.Trials
	}
	if n.trials == 0 {
		return false
	}
	n.trials--
	return true
}

// Failed records an attempt that the node did not answer, and reports whether that opened the breaker. Attempts that were
// in progress when it opened change nothing; a trial that fails ends the others.
func (s *Set) Failed(id int, now int64) (opened bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nodes[id]
	if n == nil {
		n = &node{}
		s.mu.nodes[id] = n
	}
	if s.open(n) {
		n.trials = 0
		return false
	}
	if n.failed++; !s.open(n) {
		return false
	}
	n.until = now + int64(s.cfg.Wait)
	return true
}

// Worked records that the node answered someone, and reports whether that closed an open breaker.
func (s *Set) Worked(id int) (closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.mu.nodes[id]
	delete(s.mu.nodes, id)
	return s.open(n)
}

// Unknown records an attempt that was abandoned: another one may be made.
func (s *Set) Unknown(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.mu.nodes[id]; s.open(n) {
		n.trials = min(n.trials+1, s.cfg.Trials)
	}
}

// IsOpen reports whether the breaker of a node is open, or half open.
func (s *Set) IsOpen(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open(s.mu.nodes[id])
}
