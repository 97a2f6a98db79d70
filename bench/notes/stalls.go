package notes

import (
	"time"

	"github.com/streamlease/streamlease/test/journal"
)

// StallStep is how often a process looks whether it runs.
const StallStep = 50 * time.Millisecond

// stallShare is the part of the session TTL that a process may not run before that counts.
const stallShare = 4

// Stalls finds out when a process did not run: the machine was busy, or the process was stopped. One goroutine uses it.
type Stalls struct {
	Session time.Duration // TTL; 0: nothing counts
	looked  time.Duration
}

// Look returns since when the process did not run until now, on the clock of journals, if it is called much later than after StallStep.
func (s *Stalls) Look() (since, now time.Duration, stood bool) {
	now = journal.Monotonic()
	since, stood = s.at(now)
	return since, now, stood
}

func (s *Stalls) at(now time.Duration) (since time.Duration, stood bool) {
	since, s.looked = s.looked, now
	return since, since > 0 && s.Session > 0 && now-since >= s.Session/stallShare
}
