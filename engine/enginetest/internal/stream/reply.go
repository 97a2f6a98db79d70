package stream

import (
	"fmt"
	"iter"
	"strings"
)

// Reply is one of int64, string (a bulk string), [Simple], [Error], [Null], [NullArray], []Reply, [Map], [MapOfStreams].
type Reply any

// Simple is a simple string, as "OK".
type Simple string

// Error is an error as Redis words it, with its code: "ERR …", "NOGROUP …".
type Error string

func (e Error) Error() string { return string(e) }

// Null is the absence of a value. Version 2 of the protocol writes it as a bulk string.
type Null struct{}

// NullArray is the absence of an array. Version 3 of the protocol writes it like [Null].
type NullArray struct{}

// Map has keys and values in turn: a map in version 3 of the protocol, a flat array in version 2.
type Map []Reply

// MapOfStreams has keys and values in turn, as XREAD and XREADGROUP reply: a map in version 3 of the protocol, an array of pairs in
// version 2.
type MapOfStreams []Reply

const okReply = Simple("OK")

// errorf returns an error of one line. Arguments end at a zero byte, as in C.
func errorf(format string, args ...string) Error {
	texts := make([]any, len(args))
	for i, arg := range args {
		texts[i] = text(arg)
	}
	line := strings.Trim(fmt.Sprintf(format, texts...), "\r\n")
	return Error(strings.NewReplacer("\r", " ", "\n", " ").Replace(line))
}

// short returns as much of an argument as Redis repeats of it in an error about subcommands.
func short(arg string) string { return arg[:min(len(arg), 128)] }

func (e *entry) reply() Reply {
	fields := make([]Reply, len(e.fields))
	for i, field := range e.fields {
		fields[i] = field
	}
	return []Reply{e.id.String(), fields}
}

// take returns the first entries, as a reply: at most count if it is above zero.
func take(entries iter.Seq[*entry], count int64) []Reply {
	reply := []Reply{}
	for e := range entries {
		reply = append(reply, e.reply())
		if int64(len(reply)) == count {
			break
		}
	}
	return reply
}
