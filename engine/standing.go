package engine

import (
	"container/list"
	"sync"
)

// What a publisher remembers of what it announced with OnlyIfUnowned: about so many streams, and so many bytes of names and IDs.
const (
	mostStanding      = 10_000
	mostStandingBytes = 4 << 20
)

// standing remembers the last entry that was announced of each stream, of those that were used last. The zero value is ready for use.
type standing struct {
	mu struct {
		sync.Mutex
		entries map[string]*list.Element // of *standingEntry
		order   list.List                // the one that was used last first
		bytes   int
	}
}

type standingEntry struct{ stream, entry string }

func (x *standingEntry) size() int { return len(x.stream) + len(x.entry) }

// get returns the last entry of a stream; "" if it is not remembered.
func (s *standing) get(stream string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.mu.entries[stream]
	if at == nil {
		return ""
	}
	s.mu.order.MoveToFront(at)
	return at.Value.(*standingEntry).entry
}

// put remembers an entry; "" forgets it.
func (s *standing) put(stream, entry string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.mu.entries[stream]; at != nil {
		s.dropLocked(at)
	}
	if entry == "" {
		return
	}
	if s.mu.entries == nil {
		s.mu.entries = make(map[string]*list.Element)
	}
	x := &standingEntry{stream, entry}
	s.mu.entries[stream] = s.mu.order.PushFront(x)
	s.mu.bytes += x.size()
	for s.mu.order.Len() > mostStanding || s.mu.bytes > mostStandingBytes && s.mu.order.Len() > 1 {
		s.dropLocked(s.mu.order.Back())
	}
}

func (s *standing) dropLocked(at *list.Element) {
	x := s.mu.order.Remove(at).(*standingEntry)
	delete(s.mu.entries, x.stream)
	s.mu.bytes -= x.size()
}
