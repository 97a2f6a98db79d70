package feed

import (
	"errors"

	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
)

// Field is one field of a message: its Name and its Value, as they are in Redis.
type Field = struct{ Name, Value string }

// Message is one entry of a stream. Its fields are shared with nobody, and may be kept for as long as they are of use.
type Message struct {
	// ID is the ID of the entry, such as "1700000000000-0". IDs of a stream rise. With the token of the lease it tells a message that
	// comes again from a new one.
	ID string
	// Fields are in the order in which they were added. A name may occur more than once.
	Fields []Field
}

// Get returns the value of the first field of that name, and whether there is one.
func (m Message) Get(name string) (value string, ok bool) {
	for i := range m.Fields {
		if m.Fields[i].Name == name {
			return m.Fields[i].Value, true
		}
	}
	return "", false
}

// received turns what was read into messages.
func received(read []reading.Message) []Message {
	messages := make([]Message, len(read))
	for i := range read {
		messages[i] = Message(read[i])
	}
	return messages
}

// idOf parses the ID of a message, which was checked when it was read.
func idOf(text string) position.ID {
	id, err := position.Parse(text)
	if err != nil {
		panic(errors.Join(errors.New("feed: an ID that was not checked"), err))
	}
	return id
}
