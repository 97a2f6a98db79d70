package lease

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/streamlease/streamlease/api"
)

// Value is what the key of a lease holds: "<consumer> <token> <entry>"; while another announcement of the stream waits, " <waiting entry>";
// and while its owner is about to leave, " shut=…" (see lua/shut.lua). Whatever compares values compares only the first three fields. lua/parts/value.lua does the same for the scripts.
type Value struct {
	Consumer string // without white space
	Token    api.Token
	Entry    string // ID of the announcement that the stream is owned for
	Waiting  string // ID of a later announcement that waits for the lease to end; empty: none known
	Shut     string // the mark of a lease whose owner is about to leave; empty: it is not
}

// shutPrefix begins the mark of a lease that is shut.
const shutPrefix = "shut="

// valuePattern is that of parse in lua/parts/value.lua. Text after the entry that is neither a waiting entry nor a mark is ignored.
var valuePattern = regexp.MustCompile(`^([^\s\v]+) ([0-9]+) ([0-9]+-[0-9]+)(?s:(.*))$`)

// ParseValue parses the value of a lease's key. An error means that this library did not write it.
func ParseValue(text string) (Value, error) {
	fields := valuePattern.FindStringSubmatch(text)
	if fields == nil {
		return Value{}, notAValue(text)
	}
	token, err := parseToken(fields[2])
	if err != nil {
		return Value{}, notAValue(text)
	}
	v := Value{Consumer: fields[1], Token: token, Entry: fields[3]}
	v.Waiting, v.Shut = parseTail(fields[4])
	return v, nil
}

// parseTail returns the waiting entry and the mark in what follows the first three fields.
func parseTail(rest string) (waiting, shut string) {
	rest, ok := strings.CutPrefix(rest, " ")
	if !ok {
		return "", ""
	}
	first, after, _ := strings.Cut(rest, " ")
	switch {
	case isID(first) && isMark(after):
		return first, after
	case isID(first):
		return first, ""
	case isMark(rest):
		return "", rest
	}
	return "", ""
}

// isMark reports whether text is the mark of a lease that is shut.
func isMark(text string) bool {
	return len(text) > len(shutPrefix) && strings.HasPrefix(text, shutPrefix) && !strings.ContainsAny(text, " \t\n\v\f\r")
}

func notAValue(text string) error {
	return fmt.Errorf("the value of the lease is %.80q, which is not one of this library: delete the key", text)
}

// isID reports whether text is an entry ID of two numbers, as Redis returns it.
func isID(text string) bool {
	ms, seq, ok := strings.Cut(text, "-")
	return ok && allDigits(ms) && allDigits(seq)
}

func allDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// String returns the value as the key holds it.
func (v Value) String() string {
	_, tag, _ := keyAndTag("", v.Token, v.Entry)
	text := ownedValue(v.Consumer, tag)
	if v.Waiting != "" {
		text += " " + v.Waiting
	}
	if v.Shut != "" {
		text += " " + v.Shut
	}
	return text
}

// keyAndTag returns the key of a lease and its tag, "<token> <entry>", side by side in one piece of memory, as they are sent
// together; the entry begins at entryAt of the tag.
func keyAndTag(key string, token api.Token, entry string) (_, tag string, entryAt int) {
	text := token.String()
	both := key + text + " " + entry
	return both[:len(key)], both[len(key):], len(text) + 1
}

// ownedValue returns the value of a lease with this tag that consumer owns, without a waiting entry.
func ownedValue(consumer, tag string) string { return consumer + " " + tag }

// ownedValueSize returns the length of ownedValue.
func ownedValueSize(consumer, tag string) int { return len(consumer) + 1 + len(tag) }

// writeOwnedValue appends ownedValue to b.
func writeOwnedValue(b *strings.Builder, consumer, tag string) {
	b.WriteString(consumer)
	b.WriteByte(' ')
	b.WriteString(tag)
}
