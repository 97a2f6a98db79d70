package stream

const (
	errTimeout         = Error("ERR timeout is not an integer or out of range")
	errTimeoutNegative = Error("ERR timeout is negative")
	errUnbalanced      = Error("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
	errGroupOption     = Error("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
	errNoAckOption     = Error("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
	errGroupMissing    = Error("ERR Missing GROUP option for XREADGROUP")
	errNewID           = Error("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
	errLastID          = Error("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer " +
		"by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.")
)

// reading are the arguments of XREAD and XREADGROUP.
type reading struct {
	grouped         bool // XREADGROUP
	group, consumer string
	hasGroup        bool
	noAck           bool
	count           int64 // 0: all
	keys, ids       []string
}

// source is one of the streams that are read.
type source struct {
	key   string
	after ID // with a group, the highest ID stands for >
	group *group
}

func xread(c *call) (Reply, error) {
	r := reading{grouped: c.name == "xreadgroup"}
	if err := r.parse(c.args[1:]); err != nil {
		return nil, err
	}
	sources := make([]source, len(r.keys))
	for i := range sources {
		var err error
		if sources[i], err = r.source(c, i); err != nil {
			return nil, err
		}
	}
	var reply MapOfStreams
	for _, from := range sources {
		s, err := c.keys.Stream(from.key)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		if entries, some := r.read(c, s, from); some {
			reply = append(reply, from.key, entries)
		}
	}
	if reply == nil {
		return NullArray{}, nil
	}
	return reply, nil
}

func (r *reading) parse(args []string) (err error) {
	for i := 0; i < len(args) && r.keys == nil; i++ {
		switch more := len(args) - 1 - i; {
		case more > 0 && is(args[i], "BLOCK"):
			i++
			if timeout, err := parseIntOr(args[i], errTimeout); err != nil {
				return err
			} else if timeout < 0 {
				return errTimeoutNegative
			}
		case more > 0 && is(args[i], "COUNT"):
			i++
			if r.count, err = parseInt(args[i]); err != nil {
				return err
			}
			r.count = max(r.count, 0)
		case more > 0 && is(args[i], "STREAMS"):
			if more%2 != 0 {
				return errUnbalanced
			}
			rest := args[i+1:]
			r.keys, r.ids = rest[:more/2], rest[more/2:]
		case more > 1 && is(args[i], "GROUP"):
			if !r.grouped {
				return errGroupOption
			}
			r.hasGroup, r.group, r.consumer = true, args[i+1], args[i+2]
			i += 2
		case is(args[i], "NOACK"):
			if !r.grouped {
				return errNoAckOption
			}
			r.noAck = true
		default:
			return errSyntax
		}
	}
	switch {
	case r.keys == nil:
		return errSyntax
	case r.grouped && !r.hasGroup:
		return errGroupMissing
	}
	return nil
}

// source finds out from where one of the streams is to be read.
func (r *reading) source(c *call, i int) (source, error) {
	from := source{key: r.keys[i]}
	s, err := c.keys.Stream(from.key)
	if err != nil {
		return from, err
	}
	if r.grouped {
		if s != nil {
			from.group = s.groups[r.group]
		}
		if from.group == nil {
			return from, errorf("NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option", from.key, r.group)
		}
	}
	switch text(r.ids[i]) {
	case "$":
		if r.grouped {
			return from, errLastID
		}
		if s != nil {
			from.after = s.last
		}
	case ">":
		if !r.grouped {
			return from, errNewID
		}
		from.after = maxID
	default:
		from.after, err = parseStrictID(r.ids[i], 0)
	}
	return from, err
}

// read returns the entries of one stream. some is false if there is nothing to say of it.
func (r *reading) read(c *call, s *Stream, from source) (entries []Reply, some bool) {
	if g := from.group; g != nil {
		if from.after != maxID {
			return r.history(s, g.consumer(r.consumer, c.now), from.after, c.now), true
		}
		if s.length == 0 || !g.last.less(s.top()) {
			return nil, false
		}
		return r.deliver(s, g, g.consumer(r.consumer, c.now), c.now), true
	}
	if s.length == 0 || !from.after.less(s.top()) {
		return nil, false
	}
	start, _ := from.after.next()
	return take(s.entries(start, maxID), r.count), true
}

// deliver returns the entries that a group has not read, and makes them pending.
func (r *reading) deliver(s *Stream, g *group, to *consumer, now int64) []Reply {
	reply := []Reply{}
	start, _ := g.last.next()
	for e := range s.entries(start, maxID) {
		g.advance(s, e.id)
		if !r.noAck {
			g.deliver(e.id, to, now)
		}
		reply = append(reply, e.reply())
		if int64(len(reply)) == r.count {
			break
		}
	}
	return reply
}

// history returns what is pending for a consumer. Only what still exists counts as delivered again.
func (r *reading) history(s *Stream, of *consumer, after ID, now int64) []Reply {
	reply := []Reply{}
	start, _ := after.next()
	for id, p := range of.pending.from(start) {
		if e := s.get(id); e != nil {
			p.delivered = now
			p.count++
			reply = append(reply, e.reply())
		} else {
			reply = append(reply, []Reply{id.String(), NullArray{}})
		}
		if int64(len(reply)) == r.count {
			break
		}
	}
	return reply
}
