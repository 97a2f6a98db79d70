package dialer

import "bytes"

// counter counts the RESP values that pass in one direction of a connection: commands, or answers. It keeps no contents.
type counter struct {
	commands bool // what passes is commands; set before anything does

	head  []byte // of a value, if it came in parts
	skip  int    // bytes of a string that are still to come, its line end included
	open  []nested
	kind  byte   // of the value that is passing
	words int    // elements of that value, if it is an array
	name  []byte // its first element, if that is a short string: the name of a command
	first bool   // that element is passing, or comes next
	moved []byte // the last MOVED error, without its '-'
	lost  bool   // something passed that is not RESP; nothing is counted any more
}

// nested is an aggregate that is passing.
type nested struct {
	left int  // elements that are still to come
	attr bool // an attribute, which is no value by itself
}

// longestHead bounds what is kept of a line: only errors are longer than a few bytes.
const longestHead = 1 << 16

// idle reports whether whole values have passed.
func (c *counter) idle() bool { return !c.lost && c.skip == 0 && len(c.head) == 0 && len(c.open) == 0 }

// feed takes what passes. It returns how many values are complete by now, pushes and commands that these answer aside; the place
// among them of the last array of one word that is not behind wait: a command such as PING, which no server lets wait; and wait, the
// place of the last command that a server may let wait. Places count from 1; 0: there is none.
func (c *counter) feed(b []byte) (values, probe, wait int) {
	for len(b) > 0 && !c.lost {
		complete := false
		if c.skip > 0 {
			n := min(c.skip, len(b))
			if c.first {
				c.name = append(c.name, b[:n]...)
			}
			c.skip -= n
			b = b[n:]
			complete = c.skip == 0
		} else {
			end := bytes.IndexByte(b, '\n')
			if end < 0 {
				c.head = append(c.head, b...)
				c.lost = len(c.head) > longestHead
				return values, probe, wait
			}
			line := b[:end]
			if len(c.head) > 0 {
				c.head = append(c.head, line...)
				line = c.head
			}
			complete = c.line(bytes.TrimSuffix(line, []byte{'\r'}))
			c.head, b = c.head[:0], b[end+1:]
		}
		c.first = c.first && !complete
		if complete && c.close() && c.kind != '>' && !c.answeredByPush() {
			values++
			switch {
			case c.waits():
				wait = values
			case c.words == 1 && wait == 0:
				probe = values
			}
		}
	}
	return values, probe, wait
}

// line takes the first line of a value, and reports whether that is all of it.
func (c *counter) line(line []byte) (complete bool) {
	if len(line) == 0 {
		c.lost = true
		return false
	}
	kind, n := line[0], 0
	if len(c.open) == 0 && kind != '|' {
		c.kind, c.words, c.name, c.first = kind, 0, c.name[:0], false
	}
	switch kind {
	case '+', ':', ',', '(', '#', '_':
		return true
	case '-':
		if bytes.HasPrefix(line, []byte("-MOVED ")) {
			c.moved = append(c.moved[:0], line[1:]...)
		}
		return true
	case '$', '!', '=':
		if n = c.length(line[1:]); n >= 0 && !c.lost {
			c.skip = n + 2
			c.first = c.first && n <= longestName
		}
		return n < 0 && !c.lost
	case '*', '~', '>':
		n = c.length(line[1:])
		if len(c.open) == 0 && kind == '*' {
			c.words, c.first = n, n > 0
		}
	case '%', '|':
		n = 2 * c.length(line[1:])
	default:
		c.lost = true
	}
	if c.lost {
		return false
	}
	if n > 0 || kind == '|' {
		c.open = append(c.open, nested{left: max(n, 0), attr: kind == '|'})
		return n <= 0
	}
	return true
}

// length parses a length; -1 is the null of RESP2.
func (c *counter) length(text []byte) (n int) {
	if string(text) == "-1" {
		return -1
	}
	c.lost = c.lost || len(text) == 0 || len(text) > 10
	for _, d := range text {
		c.lost = c.lost || d < '0' || d > '9'
		n = 10*n + int(d-'0')
	}
	return n
}

// longestName is the longest name of a command that matters here.
const longestName = len("PUNSUBSCRIBE")

// answeredByPush reports whether the value that has passed is a command whose answer is a push: SUBSCRIBE and the like.
func (c *counter) answeredByPush() bool {
	return c.commands && c.kind == '*' && bytes.HasSuffix(bytes.TrimSuffix(c.name, []byte("\r\n")), []byte("SUBSCRIBE"))
}

// waits reports whether the value that has passed is a command that a server may let wait, by its name: XREAD and XREADGROUP, with
// BLOCK or not, those of lists and sorted sets that begin with a B (BLPOP, BRPOP, BZPOPMIN), WAIT and WAITAOF.
func (c *counter) waits() bool {
	if !c.commands || c.kind != '*' {
		return false
	}
	for _, prefix := range []string{"XREAD", "BL", "BR", "BZ", "WAIT"} {
		if bytes.HasPrefix(c.name, []byte(prefix)) {
			return true
		}
	}
	return false
}

// close is called when a value is complete, and reports whether that completes a whole answer or command.
func (c *counter) close() bool {
	for len(c.open) > 0 {
		last := &c.open[len(c.open)-1]
		if last.left > 0 {
			last.left--
		}
		if last.left > 0 {
			return false
		}
		attr := last.attr
		c.open = c.open[:len(c.open)-1]
		if attr {
			return false
		}
	}
	return true
}
