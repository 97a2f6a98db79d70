package position

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID is the ID of an entry of a Redis stream. The zero ID precedes all entries.
type ID struct{ MS, Seq uint64 }

// Parse parses an ID as Redis writes it, such as "1700000000000-3". Nothing but two decimal numbers is accepted: the short forms
// and signs that commands take are not IDs of entries.
func Parse(text string) (ID, error) {
	ms, seq, found := strings.Cut(text, "-")
	if !found {
		return ID{}, fmt.Errorf("%.50q is no ID of a message", text)
	}
	m, err := number(ms)
	if err == nil {
		var s uint64
		if s, err = number(seq); err == nil {
			return ID{m, s}, nil
		}
	}
	return ID{}, fmt.Errorf("%.50q is no ID of a message", text)
}

func number(text string) (uint64, error) {
	if text != "0" && (text == "" || text[0] < '1' || text[0] > '9') {
		return 0, strconv.ErrSyntax // a sign, a leading zero, an underscore
	}
	return strconv.ParseUint(text, 10, 64)
}

// String returns the ID as Redis writes it.
func (id ID) String() string { return string(id.append(make([]byte, 0, 24))) }

func (id ID) append(b []byte) []byte {
	b = strconv.AppendUint(b, id.MS, 10)
	b = append(b, '-')
	return strconv.AppendUint(b, id.Seq, 10)
}

// Compare returns -1, 0 or 1 as id precedes, is, or follows other.
func (id ID) Compare(other ID) int {
	switch {
	case id.MS < other.MS, id.MS == other.MS && id.Seq < other.Seq:
		return -1
	case id == other:
		return 0
	}
	return 1
}

// Less reports whether id precedes other.
func (id ID) Less(other ID) bool { return id.Compare(other) < 0 }

// IsZero reports whether id precedes all entries.
func (id ID) IsZero() bool { return id == ID{} }

// Time is when the entry was added, by the clock of the server that gave it its ID. It means nothing if the producer chose the ID.
func (id ID) Time() time.Time { return time.UnixMilli(int64(min(id.MS, 1<<62))) }

// Back returns the first ID of the millisecond that is d earlier; the zero ID if there is none.
func (id ID) Back(d time.Duration) ID {
	if back := uint64(d.Milliseconds()); id.MS > back {
		return ID{MS: id.MS - back}
	}
	return ID{}
}

// Is reports whether text is the ID as Redis writes it. It allocates nothing.
func (id ID) Is(text string) bool {
	var b [41]byte
	return string(id.append(b[:0])) == text
}
