package stream

const (
	errClaimIdle      = Error("ERR Invalid min-idle-time argument for XCLAIM")
	errClaimIdleSet   = Error("ERR Invalid IDLE option argument for XCLAIM")
	errClaimTime      = Error("ERR Invalid TIME option argument for XCLAIM")
	errClaimRetries   = Error("ERR Invalid RETRYCOUNT option argument for XCLAIM")
	errAutoClaimIdle  = Error("ERR Invalid min-idle-time argument for XAUTOCLAIM")
	errAutoClaimCount = Error("ERR COUNT must be > 0")
	errMemory         = Error("ERR Insufficient memory, failed allocating transient memory, COUNT too high.")
)

// claim are the arguments of XCLAIM and XAUTOCLAIM.
type claim struct {
	consumer string
	minIdle  int64 // of what is claimed; 0: any
	justID   bool
	now      int64

	// Of XCLAIM.
	ids       []ID
	force     bool
	delivered int64 // -1: not given
	count     int64 // below 0: not given
	last      ID

	// Of XAUTOCLAIM.
	start ID
	limit int64
}

func xclaim(c *call) (Reply, error) {
	s, g, err := c.group(c.args[1], c.args[2])
	if err != nil {
		return nil, err
	}
	minIdle, err := parseIntOr(c.args[4], errClaimIdle)
	if err != nil {
		return nil, err
	}
	cl := claim{consumer: c.args[3], minIdle: max(minIdle, 0), now: c.now, delivered: -1, count: -1}
	if err := cl.parse(c.args[5:]); err != nil {
		return nil, err
	}
	if g.last.less(cl.last) {
		g.last = cl.last
	}
	reply := []Reply{}
	for _, id := range cl.ids {
		e := s.get(id)
		if e == nil {
			g.forget(id)
			continue
		}
		p, found := g.pending.get(id)
		if !found && cl.force {
			p, found = &pending{count: 1}, true
			g.pending.set(id, p)
		}
		if found && cl.take(g, e, p) {
			reply = append(reply, cl.reply(e))
		}
	}
	return reply, nil
}

// parse reads IDs, and options after them.
func (cl *claim) parse(args []string) error {
	for len(args) > 0 {
		id, err := parseStrictID(args[0], 0)
		if err != nil {
			break
		}
		cl.ids = append(cl.ids, id)
		args = args[1:]
	}
	for i := 0; i < len(args); i++ {
		var err error
		switch more := len(args) > i+1; {
		case is(args[i], "FORCE"):
			cl.force = true
		case is(args[i], "JUSTID"):
			cl.justID = true
		case more && is(args[i], "IDLE"):
			i++
			cl.delivered, err = parseIntOr(args[i], errClaimIdleSet)
			cl.delivered = cl.now - cl.delivered
		case more && is(args[i], "TIME"):
			i++
			cl.delivered, err = parseIntOr(args[i], errClaimTime)
		case more && is(args[i], "RETRYCOUNT"):
			i++
			cl.count, err = parseIntOr(args[i], errClaimRetries)
		case more && is(args[i], "LASTID"):
			i++
			cl.last, err = parseStrictID(args[i], 0)
		default:
			err = errorf("ERR Unrecognized XCLAIM option '%s'", args[i])
		}
		if err != nil {
			return err
		}
	}
	if cl.delivered < 0 || cl.delivered > cl.now {
		cl.delivered = cl.now
	}
	return nil
}

// take gives an entry to the consumer, unless it was delivered too recently. The consumer is made if need be.
func (cl *claim) take(g *group, e *entry, p *pending) bool {
	if p.consumer != nil && cl.minIdle > 0 && cl.now-p.delivered < cl.minIdle {
		return false
	}
	p.give(e.id, g.consumer(cl.consumer, cl.now))
	p.delivered = cl.delivered
	if cl.count >= 0 {
		p.count = cl.count
	} else if !cl.justID {
		p.count++
	}
	return true
}

func (cl *claim) reply(e *entry) Reply {
	if cl.justID {
		return e.id.String()
	}
	return e.reply()
}

func xautoclaim(c *call) (Reply, error) {
	minIdle, err := parseIntOr(c.args[4], errAutoClaimIdle)
	if err != nil {
		return nil, err
	}
	cl := claim{consumer: c.args[3], minIdle: max(minIdle, 0), now: c.now, delivered: c.now, count: -1, limit: 100}
	if cl.start, err = parseStart(c.args[5]); err != nil {
		return nil, err
	}
	if err := cl.parseAuto(c.args[6:]); err != nil {
		return nil, err
	}
	s, g, err := c.group(c.args[1], c.args[2])
	if err != nil {
		return nil, err
	}
	if cl.limit > 1<<43 {
		return nil, errMemory // 16 bytes for each
	}
	return cl.scan(s, g), nil
}

func (cl *claim) parseAuto(args []string) (err error) {
	for i := 0; i < len(args); i++ {
		switch {
		case is(args[i], "COUNT") && i+1 < len(args):
			i++
			if cl.limit, err = parseIntOr(args[i], errAutoClaimCount); err != nil {
				return err
			}
			if cl.limit < 1 || cl.limit > (1<<63-1)/16 {
				return errAutoClaimCount
			}
		case is(args[i], "JUSTID"):
			cl.justID = true
		default:
			return errSyntax
		}
	}
	return nil
}

// scan claims what is pending, in order. It looks at ten times as many entries as it may return; deleted ones count as returned.
func (cl *claim) scan(s *Stream, g *group) Reply {
	claimed, deleted := []Reply{}, []Reply{}
	limit, attempts := cl.limit, 10*cl.limit
	id, p, more := g.pending.ceiling(cl.start)
	for ; more && limit > 0 && attempts > 0; attempts-- {
		if e := s.get(id); e == nil {
			g.forget(id)
			deleted = append(deleted, id.String())
			limit--
		} else if cl.take(g, e, p) {
			claimed = append(claimed, cl.reply(e))
			limit--
		}
		var after ID
		if after, more = id.next(); more {
			id, p, more = g.pending.ceiling(after)
		}
	}
	if !more {
		id = minID
	}
	return []Reply{id.String(), claimed, deleted}
}
