package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The members of an announcement. They are matched exactly: encoding/json would accept "datastreamname" as well, other
// languages do not, and two readers that disagree would own one stream under two names.
const (
	memberName = "DataStreamName"
	memberInfo = "Info"
)

// announcement is the JSON in an entry's field, as existing producers write it.
type announcement struct {
	DataStreamName string          `json:"DataStreamName"`
	Info           json.RawMessage `json:"Info,omitempty"`
}

// EncodeAnnouncement returns the text of an entry's announcement field. A nil info leaves Info out.
func EncodeAnnouncement(stream string, info json.RawMessage) (string, error) {
	text, err := json.Marshal(announcement{DataStreamName: stream, Info: info})
	return string(text), err
}

var (
	errNotObject     = errors.New("it is not a JSON object")
	errNameNoString  = errors.New(memberName + " is not a string")
	errLoneSurrogate = errors.New("half of a surrogate pair stands alone, which is not a character")
)

// ErrNameCut says that the part of an announcement that was read does not contain its name. The entry is valid, but its lease
// is not known.
var ErrNameCut = errors.New(memberName + " is not in the part that was read")

// decodeAnnouncement parses the text of an announcement. Of a repeated member the last one counts. A missing or null name is
// empty.
func decodeAnnouncement(text string) (a announcement, err error) {
	if raw := []byte(text); !json.Valid(raw) {
		var any json.RawMessage
		return a, json.Unmarshal(raw, &any)
	}
	m := members{text: text}
	if !m.open() {
		if strings.TrimSpace(text) == "null" {
			return a, nil
		}
		return a, errNotObject
	}
	info := ""
	for {
		key, value, ok := m.next()
		if !ok {
			break
		}
		switch name, err := unquote(key); {
		case err != nil:
			return announcement{}, err
		case name == memberName && value == "null":
			a.DataStreamName = ""
		case name == memberName:
			if a.DataStreamName, err = unquote(value); err != nil {
				return announcement{}, fmt.Errorf("%s: %w", memberName, err)
			}
		case name == memberInfo:
			info = value
		}
	}
	if info != "" {
		a.Info = json.RawMessage(info)
	}
	return a, nil
}

// decodeName finds the name in an announcement whose end is missing.
func decodeName(text string) (string, error) {
	m := members{text: text}
	if !m.open() {
		return "", errNotObject
	}
	for {
		key, value, ok := m.next()
		if !ok {
			return "", ErrNameCut
		}
		if name, err := unquote(key); err == nil && name == memberName {
			if !utf8.ValidString(value) || !json.Valid([]byte(value)) {
				return "", errNameNoString
			}
			return unquote(value)
		}
	}
}

// members walks over the members of a JSON object as its text has them: valid JSON, or the beginning of it.
type members struct {
	text string
	at   int
}

// open moves past the brace that opens the object.
func (m *members) open() bool {
	m.space()
	return m.skip('{')
}

// next returns the next member, its key with the quotes. A member that is cut off does not count.
func (m *members) next() (key, value string, ok bool) {
	m.space()
	m.skip(',')
	m.space()
	if key, ok = m.value(); !ok || key[0] != '"' {
		return "", "", false
	}
	m.space()
	if !m.skip(':') {
		return "", "", false
	}
	m.space()
	value, ok = m.value()
	return key, value, ok
}

func (m *members) space() {
	for m.at < len(m.text) && strings.IndexByte(" \t\r\n", m.text[m.at]) >= 0 {
		m.at++
	}
}

func (m *members) skip(c byte) bool {
	if m.at < len(m.text) && m.text[m.at] == c {
		m.at++
		return true
	}
	return false
}

// value returns the whole value that begins here.
func (m *members) value() (string, bool) {
	from := m.at
	for depth := 0; m.at < len(m.text); {
		switch m.text[m.at] {
		case '"':
			if !m.quoted() {
				return "", false
			}
			if depth == 0 {
				return m.text[from:m.at], true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return m.text[from:m.at], m.at > from
			}
			if depth--; depth == 0 {
				m.at++
				return m.text[from:m.at], true
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return m.text[from:m.at], m.at > from
			}
		}
		m.at++
	}
	return "", false
}

// quoted moves past the string that begins here.
func (m *members) quoted() bool {
	for m.at++; m.at < len(m.text); m.at++ {
		switch m.text[m.at] {
		case '\\':
			m.at++
		case '"':
			m.at++
			return true
		}
	}
	return false
}

// unquote decodes a JSON string. Half a surrogate pair is an error: encoding/json turns every one into U+FFFD, so different
// names would become the same.
func unquote(raw string) (s string, err error) {
	if raw[0] != '"' {
		return "", errNameNoString
	}
	if strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	if hasLoneSurrogate(raw) {
		return "", errLoneSurrogate
	}
	err = json.Unmarshal([]byte(raw), &s)
	return s, err
}

// hasLoneSurrogate reports whether a JSON string escapes one half of a surrogate pair without the other.
func hasLoneSurrogate(raw string) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		switch unit := escapedUnit(raw[i:]); {
		case unit >= 0xd800 && unit < 0xdc00:
			if len(raw) < i+6 || raw[i+5] != '\\' {
				return true
			}
			if low := escapedUnit(raw[i+6:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 10
		case unit >= 0xdc00 && unit <= 0xdfff:
			return true
		}
	}
	return false
}

// escapedUnit returns the number in "uXXXX…", or -1 if there is none.
func escapedUnit(text string) int64 {
	if len(text) < 5 || text[0] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(text[1:5], 16, 16)
	if err != nil {
		return -1
	}
	return int64(n)
}
