package memory

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// raw is a reply as it is on the wire.
type raw string

func errorf(format string, args ...any) stream.Error {
	text := strings.NewReplacer("\r", " ", "\n", " ").Replace(fmt.Sprintf(format, args...))
	return stream.Error(text)
}

func errorReply(err error) stream.Error { return errorf("%s", err.Error()) }

// encode returns a reply as it is on the wire, in version 2 or 3 of the protocol.
func encode(r stream.Reply, resp3 bool) string {
	if r, is := r.(raw); is {
		return string(r)
	}
	var b strings.Builder
	encoder{&b, resp3}.write(r)
	return b.String()
}

type encoder struct {
	*strings.Builder
	resp3 bool
}

func (e encoder) write(r stream.Reply) {
	switch r := r.(type) {
	case int64:
		e.line(":", strconv.FormatInt(r, 10))
	case string:
		e.line("$", strconv.Itoa(len(r)))
		e.WriteString(r)
		e.WriteString("\r\n")
	case raw:
		e.WriteString(string(r))
	case stream.Simple:
		e.line("+", string(r))
	case stream.Error:
		e.line("-", string(r))
	case stream.Null:
		e.null("$-1\r\n")
	case stream.NullArray:
		e.null("*-1\r\n")
	case double:
		if e.resp3 {
			e.line(",", formatDouble(float64(r)))
		} else {
			e.write(formatDouble(float64(r)))
		}
	case withScores:
		e.pairs(r)
	case []stream.Reply:
		e.all("*", len(r), r)
	case push:
		e.all(e.kind(">"), len(r), r)
	case stream.Map:
		if e.resp3 {
			e.all("%", len(r)/2, r)
		} else {
			e.all("*", len(r), r)
		}
	case stream.MapOfStreams:
		if e.resp3 {
			e.all("%", len(r)/2, r)
			return
		}
		e.line("*", strconv.Itoa(len(r)/2))
		for i := 0; i < len(r); i += 2 {
			e.all("*", 2, r[i:i+2])
		}
	default:
		panic(fmt.Sprintf("memory: a reply of type %T", r))
	}
}

func (e encoder) pairs(items []scored) {
	if !e.resp3 {
		e.line("*", strconv.Itoa(2*len(items)))
	} else {
		e.line("*", strconv.Itoa(len(items)))
	}
	for _, item := range items {
		if e.resp3 {
			e.line("*", "2")
		}
		e.write(item.member)
		e.write(double(item.score))
	}
}

// kind returns the type of a reply that version 2 of the protocol has as an array.
func (e encoder) kind(resp3 string) string {
	if e.resp3 {
		return resp3
	}
	return "*"
}

func (e encoder) line(kind, text string) {
	e.WriteString(kind)
	e.WriteString(text)
	e.WriteString("\r\n")
}

func (e encoder) null(resp2 string) {
	if e.resp3 {
		resp2 = "_\r\n"
	}
	e.WriteString(resp2)
}

func (e encoder) all(kind string, length int, items []stream.Reply) {
	e.line(kind, strconv.Itoa(length))
	for _, item := range items {
		e.write(item)
	}
}

// decode returns what miniredis replied, in version 2 of the protocol.
func decode(text string) stream.Reply {
	r, _ := decodeOne(text)
	return r
}

func decodeOne(text string) (r stream.Reply, rest string) {
	line, rest, _ := strings.Cut(text, "\r\n")
	if line == "" {
		return stream.Error("ERR no reply"), ""
	}
	switch kind, line := line[0], line[1:]; kind {
	case '+':
		return stream.Simple(line), rest
	case '-':
		return stream.Error(line), rest
	case ':':
		n, _ := strconv.ParseInt(line, 10, 64)
		return n, rest
	case '$':
		n, _ := strconv.Atoi(line)
		if n < 0 {
			return stream.Null{}, rest
		}
		return rest[:n], rest[n+2:]
	default:
		n, _ := strconv.Atoi(line)
		if n < 0 {
			return stream.NullArray{}, rest
		}
		items := make([]stream.Reply, n)
		for i := range items {
			items[i], rest = decodeOne(rest)
		}
		return items, rest
	}
}

// value runs a command and returns its reply as a value, in version 2 of the protocol.
func (d *dataset) value(args []string) stream.Reply {
	r := d.call(args, false)
	if text, is := r.(raw); is {
		return decode(string(text))
	}
	return r
}
