package scan

import (
	"strconv"
	"sync"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// maxSetbacks bounds what is remembered of entries that Redis refuses to move. Beyond it all are forgotten: each is refused
// some times more before it becomes a dead letter, and nothing else follows.
const maxSetbacks = 10_000

// setbacks are the entries that Redis refused to move in recoveries, of all partitions: a recovery itself lasts no longer
// than one attempt.
type setbacks struct {
	mu    sync.Mutex
	known lease.Setbacks
}

func setbackKey(p int, id string) string { return strconv.Itoa(p) + " " + id }

// refused notes a refusal. When the next attempt is due is up to whoever recovers.
func (s *setbacks) refused(p int, id string, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known.Len() >= maxSetbacks {
		s.known = lease.Setbacks{}
	}
	s.known.Refused(setbackKey(p, id), why, 0, func(int) time.Duration { return 0 })
}

// givenUp reports whether an entry was refused often enough to become a dead letter that refers to it, and why.
func (s *setbacks) givenUp(p int, id string) (why error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.Exhausted(setbackKey(p, id))
}

func (s *setbacks) moved(p int, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Moved(setbackKey(p, id))
}
