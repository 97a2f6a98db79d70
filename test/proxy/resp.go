package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// limits keep a malformed or hostile stream from using up the memory of the test. All are far above what tests ask Redis for.
type limits struct {
	line     int // bytes of a line: an inline request, a simple string, a header
	depth    int // aggregates inside aggregates
	elements int // values in one frame
	bulk     int // bytes of one string
	frame    int // bytes of one request or reply
}

var defaultLimits = limits{line: 1 << 20, depth: 64, elements: 4 << 20, bulk: 256 << 20, frame: 512 << 20}

// errProtocol is wrapped by every error that is not an error of the connection.
var errProtocol = errors.New("proxy: protocol error")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// decoder splits a stream into whole requests or replies, and keeps their bytes unchanged.
type decoder struct {
	r   *bufio.Reader
	lim limits

	// Of the frame being read:
	buf      []byte
	elements int
}

func newDecoder(r io.Reader) *decoder {
	return &decoder{r: bufio.NewReaderSize(r, 32<<10), lim: defaultLimits}
}

// reply reads one value of RESP2 or RESP3, with the attributes in front of it. The caller owns the bytes.
func (d *decoder) reply() ([]byte, error) {
	d.buf, d.elements = nil, 0
	if err := d.value(0); err != nil {
		return nil, err
	}
	return d.buf, nil
}

// request reads one request, an array of strings or a line. The arguments are slices of raw; a blank request has none.
func (d *decoder) request() (raw []byte, args [][]byte, err error) {
	d.buf, d.elements = nil, 0
	line, err := d.line()
	if err != nil {
		return nil, nil, err
	}
	if !bytes.HasPrefix(line, []byte("*")) {
		return d.buf, bytes.Fields(line), nil
	}
	n, err := d.length(line[1:], d.lim.elements)
	if err != nil {
		return nil, nil, err
	}
	var ends, sizes []int // of each argument: the buffer moves while it grows
	for range max(n, 0) {
		line, err := d.line()
		if err != nil {
			return nil, nil, whole(err)
		}
		if len(line) == 0 || line[0] != '$' {
			return nil, nil, malformed("argument starts with %.10q", line)
		}
		size, err := d.length(line[1:], d.lim.bulk)
		if err != nil {
			return nil, nil, err
		}
		if size < 0 {
			return nil, nil, malformed("null argument")
		}
		if err := d.bulk(size); err != nil {
			return nil, nil, err
		}
		ends = append(ends, len(d.buf)-2)
		sizes = append(sizes, size)
	}
	args = make([][]byte, len(ends))
	for i, end := range ends {
		args[i] = d.buf[end-sizes[i] : end : end]
	}
	return d.buf, args, nil
}

func (d *decoder) value(depth int) error {
	for {
		if d.elements++; d.elements > d.lim.elements {
			return malformed("more than %d values", d.lim.elements)
		}
		started := len(d.buf) > 0
		line, err := d.line()
		if err != nil {
			if started {
				return whole(err)
			}
			return err
		}
		if len(line) == 0 {
			return malformed("empty line")
		}
		kind, rest := line[0], line[1:]
		switch kind {
		case '+', '-', ':', '_', '#', ',', '(':
			return nil
		case '$', '!', '=':
			n, err := d.length(rest, d.lim.bulk)
			if err != nil || n < 0 {
				return err
			}
			return d.bulk(n)
		case '*', '~', '>':
			return d.children(rest, 1, depth)
		case '%':
			return d.children(rest, 2, depth)
		case '|':
			// An attribute belongs to the value after it.
			if err := d.children(rest, 2, depth); err != nil {
				return err
			}
		default:
			return malformed("unknown type %q", kind)
		}
	}
}

// children reads the values of an aggregate, per for each of the elements that its header announces.
func (d *decoder) children(header []byte, per, depth int) error {
	n, err := d.length(header, d.lim.elements)
	if err != nil {
		return err
	}
	if depth >= d.lim.depth {
		return malformed("nested deeper than %d", d.lim.depth)
	}
	for range max(n, 0) * per {
		if err := d.value(depth + 1); err != nil {
			return whole(err)
		}
	}
	return nil
}

// length parses the number after a type; -1 is a null.
func (d *decoder) length(text []byte, limit int) (int, error) {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < -1 {
		return 0, malformed("length %.20q", text)
	}
	if n > limit {
		return 0, malformed("length %d above the limit of %d", n, limit)
	}
	return n, nil
}

// line reads a line, and returns it without its end; it is valid until the next read. A bare \n is accepted, as Redis does in
// inline requests.
func (d *decoder) line() ([]byte, error) {
	start := len(d.buf)
	for {
		part, err := d.r.ReadSlice('\n')
		if len(d.buf)-start+len(part) > d.lim.line {
			return nil, malformed("line longer than %d", d.lim.line)
		}
		if grown := d.grow(part); grown != nil {
			return nil, grown
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if len(d.buf) > start {
				err = whole(err)
			}
			return nil, err
		}
	}
	return bytes.TrimSuffix(d.buf[start:len(d.buf)-1], []byte("\r")), nil
}

// bulk reads n bytes and the end of the line. It allocates for what arrives, not for what was announced.
func (d *decoder) bulk(n int) error {
	const step = 256 << 10
	for left := n + 2; left > 0; {
		take := min(left, step)
		start := len(d.buf)
		if err := d.grow(make([]byte, take)); err != nil {
			return err
		}
		if _, err := io.ReadFull(d.r, d.buf[start:]); err != nil {
			return whole(err)
		}
		left -= take
	}
	if !bytes.HasSuffix(d.buf, []byte("\r\n")) {
		return malformed("string of %d bytes without an end", n)
	}
	return nil
}

func (d *decoder) grow(part []byte) error {
	if len(d.buf)+len(part) > d.lim.frame {
		return malformed("frame longer than %d", d.lim.frame)
	}
	d.buf = append(d.buf, part...)
	return nil
}

// whole turns an EOF inside a frame into an unexpected EOF.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// leading returns up to n strings at the start of an aggregate that reply has read. It stops at the first value that is not a
// string.
func leading(raw []byte, n int) []string {
	var found []string
	_, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	for range n {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok || len(line) == 0 {
			break
		}
		switch line[0] {
		case '+':
			found, rest = append(found, string(line[1:])), after
			continue
		case '$':
			size, err := strconv.Atoi(string(line[1:]))
			if err == nil && size >= 0 && size+2 <= len(after) {
				found, rest = append(found, string(after[:size])), after[size+2:]
				continue
			}
		}
		break
	}
	return found
}
