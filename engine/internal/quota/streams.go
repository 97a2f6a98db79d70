package quota

import (
	"math"
	"sync"
)

// Streams is how many streams this process may still take. What was reserved counts as held until it is released. All methods may be
// called from any goroutine.
//
// While room is scarce, the readers of partitions have turns: whoever had room longest ago comes first. Otherwise a reader that
// has found nothing would take its room again before those who wait for it have woken up, and a stream in their partitions would
// never be read.
type Streams struct {
	held    func() int // streams that are held; called with the mutex held, so it must not call back
	changed func()     // there may be room; called with no mutex held

	mu struct {
		sync.Mutex
		limit    int // math.MaxInt: no limit
		reserved int // for reads and acquisitions on their way
		turns    []turn
		granted  uint64 // turns so far
	}
}

// turn is when the reader of a partition had room last.
type turn struct {
	last    uint64 // by the number of turns; 0: never
	waiting bool
}

// NewStreams returns a quota of so many streams, math.MaxInt for no limit. held returns how many are held. changed is called when those who
// wait should look again.
func NewStreams(limit, partitions int, held func() int, changed func()) *Streams {
	s := &Streams{held: held, changed: changed}
	s.mu.limit = limit
	s.mu.turns = make([]turn, partitions)
	return s
}

// SetLimit changes how many streams may be held and reserved, math.MaxInt for no limit. It takes nothing back.
func (s *Streams) SetLimit(n int) {
	s.mu.Lock()
	s.mu.limit = n
	s.mu.Unlock()
	s.changed()
}

// Limit returns how many streams may be held, and false if there is no limit.
func (s *Streams) Limit() (n int, limited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.limit, s.limitedLocked()
}

// Full reports whether as many streams are held as may be.
func (s *Streams) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held() >= s.mu.limit
}

// Left returns how many streams fit for which n places were reserved: fewer than n when the limit was lowered since. Without a limit
// any number does.
func (s *Streams) Left(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.limitedLocked() {
		return math.MaxInt
	}
	return max(s.freeLocked()+n, 0)
}

func (s *Streams) limitedLocked() bool { return s.mu.limit < math.MaxInt }

// freeLocked is how many more may be reserved; less than 0 when the limit was lowered.
func (s *Streams) freeLocked() int { return s.mu.limit - s.held() - s.mu.reserved }

// Reserve takes room for at most n more streams, and returns for how many. It must be given back with Release.
func (s *Streams) Reserve(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserveLocked(n)
}

func (s *Streams) reserveLocked(n int) int {
	if s.limitedLocked() {
		// Each partition's reader gets its share: one that waits for entries with all the room would starve the others.
		n = min(n, s.freeLocked(), max(1, s.mu.limit/len(s.mu.turns)))
	}
	n = max(n, 0)
	s.mu.reserved += n
	return n
}

// ReserveInTurn is Reserve for the reader of a partition: none while another reader waits that had room longer ago. One that gets
// none counts as waiting until it gets some or calls EndTurn.
func (s *Streams) ReserveInTurn(partition, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := &s.mu.turns[partition]
	mine.waiting = true
	for i := range s.mu.turns {
		if t := &s.mu.turns[i]; s.limitedLocked() && t.waiting && t.last < mine.last {
			return 0
		}
	}
	n = s.reserveLocked(n)
	if n > 0 {
		s.mu.granted++
		mine.last, mine.waiting = s.mu.granted, false
	}
	return n
}

// EndTurn must be called when a reader no longer waits for room: those behind it go on.
func (s *Streams) EndTurn(partition int) {
	s.mu.Lock()
	t := &s.mu.turns[partition]
	waited := t.waiting
	t.waiting = false
	s.mu.Unlock()
	if waited {
		s.changed()
	}
}

// Waits reports whether the reader of a partition waits for its turn.
func (s *Streams) Waits(partition int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.turns[partition].waiting
}

// Release gives back what was reserved: nothing came of it, or what was taken counts as held.
func (s *Streams) Release(n int) {
	s.mu.Lock()
	s.mu.reserved -= n
	s.mu.Unlock()
	s.changed()
}
