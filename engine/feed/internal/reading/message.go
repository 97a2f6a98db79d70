package reading

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/redis/rueidis"
)

// Message is one entry of a stream.
type Message struct {
	ID     string
	Fields []Field // in the order of the entry; names may repeat
}

// Field is one field of a message.
type Field = struct{ Name, Value string }

// Get returns the value of the first field of that name, and whether there is one.
func (m *Message) Get(name string) (value string, ok bool) {
	for i := range m.Fields {
		if m.Fields[i].Name == name {
			return m.Fields[i].Value, true
		}
	}
	return "", false
}

// size is the memory that a message takes here, in bytes.
func (m *Message) size() int {
	n := int(unsafe.Sizeof(*m)) + len(m.ID)
	for i := range m.Fields {
		n += int(unsafe.Sizeof(m.Fields[i])) + len(m.Fields[i].Name) + len(m.Fields[i].Value)
	}
	return n
}

// errMalformed: the answer is not what the command returns. A proxy may answer so; nothing is lost, the read is repeated.
var errMalformed = errors.New("reading: malformed answer")

// parsePage takes in the answer to XREAD of one stream, or to XRANGE, and returns the messages and the memory that they take.
func parsePage(answer rueidis.RedisResult, xread bool) (page []Message, bytes int, err error) {
	m, err := answer.ToMessage()
	if rueidis.IsRedisNil(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if xread {
		if m, err = only(m); err != nil {
			return nil, 0, err
		}
	}
	return parseStream(m)
}

// parseStream takes in the entries of one stream.
func parseStream(m rueidis.RedisMessage) (page []Message, bytes int, err error) {
	entries, err := m.ToArray()
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return parseEntries(entries)
}

// only returns the entries of the one stream that XREAD was asked for.
func only(m rueidis.RedisMessage) (entries rueidis.RedisMessage, err error) {
	n := 0
	err = streamsOf(m, func(_ string, of rueidis.RedisMessage) { n, entries = n+1, of })
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: %d streams", errMalformed, n)
	}
	return entries, err
}

// streamsOf calls f with each stream that XREAD answers: a map of RESP3, or an array of pairs of RESP2.
func streamsOf(m rueidis.RedisMessage, f func(name string, entries rueidis.RedisMessage)) error {
	if m.IsMap() {
		streams, err := m.ToMap()
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		for name, entries := range streams {
			f(name, entries)
		}
		return nil
	}
	streams, err := m.ToArray()
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	for i := range streams {
		pair, err := streams[i].ToArray()
		if err != nil || len(pair) != 2 {
			return fmt.Errorf("%w: a stream of %d parts", errMalformed, len(pair))
		}
		name, err := pair[0].ToString()
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		f(name, pair[1])
	}
	return nil
}

// parseEntries takes two allocations for all messages of a page, besides their strings.
func parseEntries(entries []rueidis.RedisMessage) (page []Message, bytes int, err error) {
	if len(entries) == 0 {
		return nil, 0, nil
	}
	total := 0
	for i := range entries {
		parts, err := entries[i].ToArray()
		if err != nil || len(parts) != 2 {
			return nil, 0, fmt.Errorf("%w: an entry of %d parts", errMalformed, len(parts))
		}
		values, err := parts[1].ToArray()
		if err != nil || len(values)%2 != 0 {
			return nil, 0, fmt.Errorf("%w: an entry of %d names and values", errMalformed, len(values))
		}
		total += len(values) / 2
	}
	page = make([]Message, len(entries))
	fields := make([]Field, 0, total)
	for i := range entries {
		parts, _ := entries[i].ToArray()
		values, _ := parts[1].ToArray()
		first := len(fields)
		for j := 0; j < len(values); j += 2 {
			name, err1 := values[j].ToString()
			value, err2 := values[j+1].ToString()
			if err1 != nil || err2 != nil {
				return nil, 0, fmt.Errorf("%w: %w", errMalformed, errors.Join(err1, err2))
			}
			fields = append(fields, Field{name, value})
		}
		m := &page[i]
		m.Fields = fields[first:len(fields):len(fields)]
		if m.ID, err = parts[0].ToString(); err != nil || m.ID == "" {
			return nil, 0, fmt.Errorf("%w: an entry without an ID", errMalformed)
		}
		bytes += m.size()
	}
	return page, bytes, nil
}
