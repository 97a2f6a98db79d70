package stream

type strategy int

const (
	noTrim strategy = iota
	byLength
	byID
)

// trim says which entries at the head of a stream go.
type trim struct {
	strategy strategy
	maxLen   int64
	minID    ID
	approx   bool  // whole nodes only
	limit    int64 // at most so many entries; 0: all
}

const (
	errTwoStrategies = Error("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
	errMaxLen        = Error("ERR The MAXLEN argument must be >= 0.")
	errLimit         = Error("ERR The LIMIT argument must be >= 0.")
	errLimitAlone    = Error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
	errLimitExact    = Error("ERR syntax error, LIMIT cannot be used without the special ~ option")
	errNoStrategy    = Error("ERR syntax error, XTRIM must be called with a trimming strategy")

	// An approximate trim without LIMIT stops after so many entries.
	defaultLimit = 100 * nodeMaxEntries
)

func xtrim(c *call) (Reply, error) {
	options, err := parseAdd(c.args[2:], false)
	if err != nil {
		return nil, err
	}
	s, err := c.keys.Stream(c.args[1])
	if err != nil || s == nil {
		return int64(0), err
	}
	return s.trim(options.trim), nil
}

// addOptions are the options of XADD, of which XTRIM has some.
type addOptions struct {
	trim     trim
	noCreate bool
	id       ID
	auto     bool // the ID is *
	open     bool // the ID is ms-*
	rest     int  // the index of what follows the ID
}

// parseAdd reads options up to the ID of an entry, which only XADD has.
func parseAdd(args []string, xadd bool) (o addOptions, err error) {
	limited := false
	i := 0
options:
	for ; i < len(args); i++ {
		switch more := len(args) - 1 - i; {
		case xadd && text(args[i]) == "*":
			o.auto = true
			break options
		case more > 0 && (is(args[i], "MAXLEN") || is(args[i], "MINID")):
			read, err := o.trim.parse(args[i:])
			if err != nil {
				return o, err
			}
			i += read
		case more > 0 && is(args[i], "LIMIT"):
			i++
			if o.trim.limit, err = parseInt(args[i]); err != nil {
				return o, err
			}
			if o.trim.limit < 0 {
				return o, errLimit
			}
			limited = true
		case xadd && is(args[i], "NOMKSTREAM"):
			o.noCreate = true
		case xadd:
			if o.id, o.open, err = parseNewID(args[i]); err != nil {
				return o, err
			}
			break options
		default:
			return o, errSyntax
		}
	}
	o.rest = i + 1
	return o, o.trim.check(limited, xadd)
}

// parse reads MAXLEN or MINID, and returns how many arguments follow it.
func (t *trim) parse(args []string) (read int, err error) {
	if t.strategy != noTrim {
		return 0, errTwoStrategies
	}
	read = 1
	t.approx = false
	if mark := text(args[1]); len(args) > 2 && (mark == "~" || mark == "=") {
		t.approx = mark == "~"
		read++
	}
	if is(args[0], "MINID") {
		t.strategy = byID
		t.minID, err = parseStrictID(args[read], 0)
		return read, err
	}
	t.strategy = byLength
	if t.maxLen, err = parseInt(args[read]); err == nil && t.maxLen < 0 {
		err = errMaxLen
	}
	return read, err
}

func (t *trim) check(limited, xadd bool) error {
	switch {
	case t.limit != 0 && t.strategy == noTrim:
		return errLimitAlone
	case !xadd && t.strategy == noTrim:
		return errNoStrategy
	case limited && !t.approx:
		return errLimitExact
	case !limited && t.approx:
		t.limit = defaultLimit
	}
	return nil
}

// trim removes entries at the head and returns how many. Deleted ones do not count, nor do they become the highest deleted.
func (s *Stream) trim(t trim) int64 {
	if t.strategy == noTrim {
		return 0
	}
	removed := int64(0)
	for len(s.nodes) > 0 && !t.reached(s) {
		n := s.nodes[0]
		if t.limit > 0 && removed+int64(n.live) > t.limit {
			break
		}
		if !t.takes(s, n) {
			if !t.approx {
				removed += s.trimNode(n, t)
			}
			break
		}
		s.nodes[0] = nil
		s.nodes = s.nodes[1:]
		s.length -= n.live
		removed += int64(n.live)
	}
	if removed > 0 || s.length == 0 {
		s.first = s.firstID()
	}
	return removed
}

// trimNode removes entries of the first node, but never the node: tombstones may be all that stays.
func (s *Stream) trimNode(n *node, t trim) (removed int64) {
	for i := range n.entries {
		e := &n.entries[i]
		if t.reached(s) || t.strategy == byID && !e.id.less(t.minID) {
			break
		}
		if !e.deleted {
			n.bury(i)
			s.length--
			removed++
		}
	}
	return removed
}

// reached reports whether a stream is short enough.
func (t *trim) reached(s *Stream) bool { return t.strategy == byLength && int64(s.length) <= t.maxLen }

// takes reports whether a whole node may go. Its tombstones count as entries if it is by ID.
func (t *trim) takes(s *Stream, n *node) bool {
	if t.strategy == byLength {
		return int64(s.length-n.live) >= t.maxLen
	}
	return n.last().less(t.minID)
}
