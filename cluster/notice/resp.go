package notice

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Limits of one value that a server sends, so that a broken server cannot exhaust our memory. The longest possible notice
// lists every slot of a cluster separately, in about 96 KB.
const (
	maxDepth    = 8
	maxElements = 1 << 15
	maxBytes    = 1 << 18
)

var errProtocol = errors.New("not RESP3, or over the limits of what is read")

// value is one RESP value.
type value struct {
	kind     byte    // the first byte of its encoding
	null     bool    // a null of any kind
	text     string  // of a value without elements, as it was sent
	elements []value // of a map, keys and values alternate
}

// isError reports whether v is an error reply.
func (v *value) isError() bool { return v.kind == '-' || v.kind == '!' }

// reader reads values and drops attributes. After an error it must not be used again.
type reader struct {
	buf      *bufio.Reader
	elements int // that this value may still have
	bytes    int
}

func newReader(r io.Reader) *reader { return &reader{buf: bufio.NewReader(r)} }

// read reads one value. Errors are those of the connection, or match errProtocol.
func (r *reader) read() (value, error) {
	r.elements, r.bytes = maxElements, maxBytes
	return r.value(0)
}

func (r *reader) value(depth int) (v value, err error) {
	if depth > maxDepth {
		return v, fmt.Errorf("%w: nested deeper than %d", errProtocol, maxDepth)
	}
	for {
		head, err := r.line()
		if err != nil {
			return v, err
		}
		if len(head) == 0 {
			return v, fmt.Errorf("%w: empty line", errProtocol)
		}
		v = value{kind: head[0], text: string(head[1:])}
		if v.kind != '|' {
			break
		}
		if _, err := r.aggregate(v.text, 2, depth); err != nil {
			return v, err
		}
	}
	switch v.kind {
	case '+', '-', ':', ',', '(', '#':
	case '_':
		v.null = true
	case '$', '!', '=':
		v.text, v.null, err = r.bulk(v.text)
		if v.kind == '=' && len(v.text) >= 4 {
			v.text = v.text[4:] // "txt:"
		}
	case '*', '~', '>':
		v.null = v.text == "-1"
		v.elements, err = r.aggregate(v.text, 1, depth)
		v.text = ""
	case '%':
		v.elements, err = r.aggregate(v.text, 2, depth)
		v.text = ""
	default:
		err = fmt.Errorf("%w: value begins with %q", errProtocol, v.kind)
	}
	return v, err
}

// line reads one line and returns it without its end. The result is valid until the next call.
func (r *reader) line() ([]byte, error) {
	line, err := r.buf.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		whole := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(whole) <= r.bytes {
			line, err = r.buf.ReadSlice('\n')
			whole = append(whole, line...)
		}
		line = whole
	}
	if r.bytes -= len(line); r.bytes < 0 {
		return nil, fmt.Errorf("%w: more than %d bytes", errProtocol, maxBytes)
	}
	if err != nil {
		return nil, err
	}
	end := len(line) - 2
	if end < 0 || line[end] != '\r' {
		return nil, fmt.Errorf("%w: line ends without a carriage return", errProtocol)
	}
	return line[:end], nil
}

// length parses a length; -1 is the null of RESP2.
func length(text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 || n > most {
		return 0, fmt.Errorf("%w: length %.20q", errProtocol, text)
	}
	return n, nil
}

func (r *reader) bulk(head string) (text string, null bool, err error) {
	n, err := length(head, r.bytes-2)
	if err != nil || n < 0 {
		return "", n < 0, err
	}
	r.bytes -= n + 2
	raw := make([]byte, n+2)
	if _, err := io.ReadFull(r.buf, raw); err != nil {
		return "", false, err
	}
	if raw[n] != '\r' || raw[n+1] != '\n' {
		return "", false, fmt.Errorf("%w: string is longer than its length", errProtocol)
	}
	return string(raw[:n]), false, nil
}

// aggregate reads the elements that a head announces, of each values each. It allocates as they arrive, not as announced.
func (r *reader) aggregate(head string, each, depth int) (elements []value, err error) {
	n, err := length(head, r.elements/each)
	if err != nil || n <= 0 {
		return nil, err
	}
	r.elements -= n * each
	for range n * each {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
	}
	return elements, nil
}
