package feedtest

import (
	"sync"

	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
)

// store keeps streams in memory.
type store struct {
	mu      sync.Mutex
	streams map[string]*content
}

type content struct {
	messages []entry
	last     position.ID
	added    int64
}

type entry struct {
	id     position.ID
	fields []feed.Field
}

func newStore() *store { return &store{streams: make(map[string]*content)} }

func (s *store) add(stream string, next func(last position.ID) position.ID, fields []feed.Field) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.streams[stream]
	if c == nil {
		c = &content{}
	}
	id := next(c.last)
	s.streams[stream] = c
	c.last = id
	c.added++
	c.messages = append(c.messages, entry{id, fields})
	return id.String()
}

// trim keeps the last n messages, and reports whether that has deleted any.
func (s *store) trim(stream string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.streams[stream]
	if c == nil || len(c.messages) <= n {
		return false
	}
	c.messages = c.messages[len(c.messages)-n:]
	return true
}

func (s *store) forget(stream string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.streams[stream]
	if c == nil {
		return
	}
	c.messages = c.messages[:max(0, len(c.messages)-n)]
	c.added = max(0, c.added-int64(n))
	c.last = position.ID{}
	if len(c.messages) > 0 {
		c.last = c.messages[len(c.messages)-1].id
	}
}

func (s *store) delete(stream string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, stream)
}

func (s *store) len(stream string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.streams[stream]; c != nil {
		return len(c.messages)
	}
	return 0
}

// read returns up to n messages after an ID, as a reader does, and what it would see of the stream.
func (s *store) read(stream, after string, n int) (messages []reading.Message, bytes int, info reading.Info) {
	from, err := position.Parse(after)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.streams[stream]
	if c == nil {
		return nil, 0, info
	}
	info = reading.Info{Exists: true, Last: c.last.String(), Length: int64(len(c.messages)), Added: c.added}
	if len(c.messages) > 0 {
		info.First = c.messages[0].id.String()
	}
	for _, e := range c.messages {
		if from.Less(e.id) && len(messages) < n {
			messages = append(messages, reading.Message{ID: e.id.String(), Fields: e.fields})
			for _, f := range e.fields {
				bytes += len(f.Name) + len(f.Value)
			}
			bytes += perMessage
		}
	}
	return messages, bytes, info
}

// perMessage is what a message takes beside its fields, in bytes; about what it is in a reader.
const perMessage = 64
