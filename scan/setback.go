package scan

import (
	"strconv"
	"sync"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// maxSetbacks bounds how many entries are remembered that Redis refuses to move. Beyond it all are forgotten, which only means
// that each is refused a few times more before it becomes a dead letter.
const maxSetbacks = 10_000

// setbacks are the entries of all partitions that Redis refused to move during recoveries. They outlive a recovery, which makes
// only one attempt.
type setbacks struct {
	mu struct {
		sync.Mutex
		known lease.Setbacks
	}
}

func setbackKey(p int, id string) string { return strconv.Itoa(p) + " " + id }

// refused records a refusal. When the next attempt is due is up to the next recovery.
func (s *setbacks) refused(p int, id string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.known.Len() >= maxSetbacks {
		s.mu.known = lease.Setbacks{}
	}
	s.mu.known.Refused(setbackKey(p, id), why, 0, func(int) time.Duration { return 0 })
}

// givenUp reports whether an entry was refused so often that it becomes a dead letter by reference, and why.
func (s *setbacks) givenUp(p int, id string) (why error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.known.Exhausted(setbackKey(p, id))
}

func (s *setbacks) moved(p int, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.known.Moved(setbackKey(p, id))
}
