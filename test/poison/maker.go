package poison

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Entry is an entry as XADD takes it.
type Entry struct {
	Kind      string   // what is wrong with it, in a few words
	Fields    []string // name, value, name, value
	Announces bool     // its first announcement was made by Maker.Announce
}

// Weight returns the number of bytes in the names and values of its fields.
func (e Entry) Weight() (n int) {
	for _, f := range e.Fields {
		n += len(f)
	}
	return n
}

// Maker makes entries. Its fields must be set.
type Maker struct {
	Service   string                // some streams are named like its keys
	Announce  func(fill int) string // a valid announcement, as a producer writes it, with this many more bytes in its Info
	MaxFields int                   // of an entry, roughly
	MaxBytes  int                   // in all names and values of an entry, roughly
}

// stranger is an announcement that Maker.Announce did not make.
const stranger = `{"DataStreamName":"poisoned"}`

// field is the field that producers write announcements to.
const field = "lbs-input"

// Next makes an entry from the first bytes of data, and returns the rest of data. Missing bytes count as 0.
func (m Maker) Next(data []byte) (Entry, []byte) {
	s := &source{data}
	k := kinds[int(s.byte())%len(kinds)]
	e := Entry{Kind: k.name}
	k.fill(&maker{Maker: m, source: s, entry: &e})
	return e, s.data
}

// Kinds returns the first bytes of entries, one for each kind: of the kinds that can reach Maker.MaxFields or MaxBytes, or of the
// others. Any other first byte counts modulo the number of kinds.
func Kinds(big bool) (all []byte) {
	for i, k := range kinds {
		if k.big == big {
			all = append(all, byte(i))
		}
	}
	return all
}

// kinds keep their order, on which the seeds of fuzzers rely. New ones go to the end.
var kinds = []struct {
	name string
	big  bool
	fill func(*maker)
}{
	{"good", false, func(m *maker) { m.add(field, m.good(0)) }},
	{"any fields", false, (*maker).any},
	{"own fields only", false, (*maker).ours},
	{"announced several times, first malformed", false, func(m *maker) { m.repeat(field, m.malformed(), stranger) }},
	{"announced several times, first good", false, func(m *maker) { m.repeat(field, m.good(0), stranger) }},
	{"malformed", false, func(m *maker) { m.add(field, m.malformed()) }},
	{"an invalid name", false, func(m *maker) { m.add(field, m.name()) }},
	{"a key of the service as the name", false, func(m *maker) { m.add(field, m.key()) }},
	{"absurd counts", false, func(m *maker) {
		m.add(field, m.good(0))
		m.add(pick(m.source, "_crash_count", "_retry_count"), m.number())
	}},
	{"an absurd time", false, func(m *maker) { m.add(field, m.good(0)); m.add("_not_before", m.number()) }},
	{"wide", true, func(m *maker) { m.add(field, m.good(0)); m.wide() }},
	{"wide, and no announcement", true, (*maker).wide},
	{"large", true, func(m *maker) { m.add(field, m.good(m.count(m.room()))) }},
	{"an additional large field", true, func(m *maker) { m.add(field, m.good(0)); m.add("trace", m.filler()) }},
	{"one of our fields thousands of times", false, func(m *maker) { m.add(field, m.good(0)); m.repeat(pick(m.source, own...), "1", m.number()) }},
}

// own are the fields that the library keeps for itself.
var own = []string{"_reason", "_retry_count", "_crash_count", "_not_before", "_original_id", "_last_owner", "_dead_at", "_reference"}

// Own reports whether the library keeps a field for itself.
func Own(field string) bool { return slices.Contains(own, field) }

// source is the bytes that decide what is made.
type source struct{ data []byte }

func (s *source) byte() (b byte) {
	if len(s.data) > 0 {
		b, s.data = s.data[0], s.data[1:]
	}
	return b
}

// count returns a number from 1 to the limit. Every order of magnitude is equally likely.
func (s *source) count(limit int) int {
	most := 0
	for 2<<most <= limit {
		most++
	}
	n := 1 << (int(s.byte()) % (most + 1))
	return min(n+n*int(s.byte())/256, limit)
}

func pick(s *source, of ...string) string { return of[int(s.byte())%len(of)] }

// maker makes one entry.
type maker struct {
	Maker
	*source
	entry *Entry
}

func (m *maker) add(name, value string) {
	m.entry.Fields = append(m.entry.Fields, name, value)
}

// room returns how many bytes the entry has left, at least 1.
func (m *maker) room() int { return max(1, m.MaxBytes-m.entry.Weight()) }

// good returns a valid announcement if it is the first one of the entry, otherwise stranger.
func (m *maker) good(fill int) string {
	if m.announced() {
		return stranger
	}
	m.entry.Announces = true
	return m.Announce(fill)
}

// announced reports whether the entry has an announcement of any kind already.
func (m *maker) announced() bool {
	for i := 0; i < len(m.entry.Fields); i += 2 {
		if m.entry.Fields[i] == field {
			return true
		}
	}
	return false
}

// repeat adds a field with one value, and then many times with another value.
func (m *maker) repeat(name, first, then string) {
	m.add(name, first)
	for range min(m.count(m.MaxFields), m.room()/max(1, len(name)+len(then))) {
		m.entry.Fields = append(m.entry.Fields, name, then)
	}
}

func (m *maker) wide() {
	value := strings.Repeat("v", int(m.byte())%16)
	n := m.count(m.MaxFields)
	for i, room := 0, m.room(); i < n && room > 0; i++ {
		name := "f" + strconv.Itoa(i)
		m.entry.Fields = append(m.entry.Fields, name, value)
		room -= len(name) + len(value)
	}
}

func (m *maker) ours() {
	for range 1 + int(m.byte())%3 {
		m.add(pick(m.source, own...), pick(m.source, "x", "", "1", "-1", "9999999999-0"))
	}
}

// any adds one to eight fields, each with a name and a value of any kind, some of them many times.
func (m *maker) any() {
	for range 1 + int(m.byte())%8 {
		name := pick(m.source, append([]string{field, "", "LBS-INPUT", "\x00", "\xff\xfe"}, own...)...)
		var value string
		switch m.byte() % 8 {
		case 0:
			value = stranger
			if name == field {
				value = m.good(0)
			}
		case 1:
			value = m.malformed()
		case 2:
			value = m.name()
		case 3:
			value = m.key()
		case 4:
			value = m.number()
		case 5:
			value = m.filler()
		case 6:
			value = m.raw()
		}
		if m.byte()%4 == 0 {
			m.repeat(name, value, value)
		} else {
			m.add(name, value)
		}
	}
}

// raw returns bytes of the source as they are.
func (m *maker) raw() string {
	n := min(int(m.byte())%64, len(m.data))
	text := string(m.data[:n])
	m.data = m.data[n:]
	return text
}

func (m *maker) filler() string { return strings.Repeat("x", m.count(m.room())) }

func (m *maker) number() string {
	return pick(m.source, "0", "-1", "1.5", "1e3", "NaN", "inf", "soon", "", " 7", "007", "2147483648", "9007199254740992", "9007199254740993",
		"9223372036854775807", "9223372036854775808", "18446744073709551616", "99999999999999999999999999", "1795702257000000", "1795702257000000000")
}

// malformed returns a text that is not an announcement.
func (m *maker) malformed() string {
	if m.byte()%8 == 0 {
		return m.raw() + "{" // never JSON, whatever the bytes are
	}
	return pick(m.source, ``, `{`, `null`, `7`, `"s"`, `[]`, `[{"DataStreamName":"s"}]`, `{"DataStreamName":"s"`, `{"DataStreamName":"s"}}`,
		`{"DataStreamName":7}`, `{"DataStreamName":null}`, `{"DataStreamName":{}}`, `{"Info":{}}`, `{}`, "\xff", "\x00", `{'DataStreamName':'s'}`,
		`{"DataStreamName":"s","Info":}`, `{"DataStreamName":"s","Info":01}`, strings.Repeat("[", 20_000), strings.Repeat(`{"Info":`, 20_000))
}

// name returns an announcement of a stream whose name is invalid or odd.
func (m *maker) name() string {
	if m.byte()%4 == 0 {
		return fmt.Sprintf(`{"DataStreamName":"%s"}`, strings.Repeat("n", min(m.count(1<<20), m.room())))
	}
	return pick(m.source, `{"DataStreamName":""}`, `{"DataStreamName":"s\ud800x"}`, `{"DataStreamName":"s\udfffx"}`, "{\"DataStreamName\":\"s\xffx\"}",
		`{"DataStreamName":"\u0000"}`, `{"datastreamname":"s"}`, `{"DataStreamName":"a","datastreamname":"b"}`, `{"DataStreamName":"a","DataStreamName":"b"}`,
		`{"DataStreamName":"{"}`, `{"DataStreamName":"}{"}`, `{"DataStreamName":"a b\nc"}`)
}

// key returns an announcement of a stream that is named like a key of the service.
func (m *maker) key() string {
	input := m.Service + "-input"
	return fmt.Sprintf(`{"DataStreamName":%q}`, pick(m.source, input, input+"-1", "{"+input+"}:sessions", "{"+input+"}:later", "{"+input+"}:token",
		"{"+input+"}:meta", "{"+input+"}-dlq", "{"+input+"}:lease:s", "{"+input+"}:scan"))
}
