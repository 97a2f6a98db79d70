package stream

import "math"

const (
	errZeroID    = Error("ERR The ID specified in XADD must be greater than 0-0")
	errExhausted = Error("ERR The stream has exhausted the last possible ID, unable to add more items")
	errSmallID   = Error("ERR The ID specified in XADD is equal or smaller than the target stream top item")
)

func xadd(c *call) (Reply, error) {
	o, err := parseAdd(c.args[2:], true)
	if err != nil {
		return nil, err
	}
	fields := c.args[min(2+o.rest, len(c.args)):]
	if len(fields) == 0 || len(fields)%2 == 1 {
		return nil, c.errArity()
	}
	if !o.auto && !o.open && o.id == minID {
		return nil, errZeroID
	}
	s, err := c.keys.Stream(c.args[1])
	if err != nil {
		return nil, err
	}
	if s == nil {
		if o.noCreate {
			return Null{}, nil
		}
		s = c.keys.Create(c.args[1])
	}
	id, err := s.newID(o, c.now)
	if err != nil {
		return nil, err
	}
	s.add(id, fields)
	s.trim(o.trim)
	return id.String(), nil
}

// newID returns the ID of an entry to be added.
func (s *Stream) newID(o addOptions, now int64) (ID, error) {
	if s.last == maxID {
		return ID{}, errExhausted
	}
	id := o.id
	switch {
	case o.auto:
		if id = (ID{ms: uint64(now)}); id.ms <= s.last.ms {
			id, _ = s.last.next()
		}
	case o.open && id.ms == s.last.ms:
		if s.last.seq == math.MaxUint64 {
			return ID{}, errSmallID
		}
		id, _ = s.last.next()
	}
	if !s.last.less(id) {
		return ID{}, errSmallID
	}
	return id, nil
}

func xlen(c *call) (Reply, error) {
	s, err := c.keys.Stream(c.args[1])
	if err != nil || s == nil {
		return int64(0), err
	}
	return int64(s.length), nil
}

func xdel(c *call) (Reply, error) {
	s, err := c.keys.Stream(c.args[1])
	if err != nil || s == nil {
		return int64(0), err
	}
	ids, err := parseIDs(c.args[2:])
	if err != nil {
		return nil, err
	}
	deleted := int64(0)
	for _, id := range ids {
		if !s.delete(id) {
			continue
		}
		deleted++
		if s.maxDeleted.less(id) {
			s.maxDeleted = id
		}
	}
	if deleted > 0 {
		s.first = s.firstID()
	}
	return deleted, nil
}

const (
	errAddedNegative = Error("ERR entries_added must be positive")
	errBelowDeleted  = Error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
	errBelowTop      = Error("ERR The ID specified in XSETID is smaller than the target stream top item")
	errAddedLength   = Error("ERR The entries_added specified in XSETID is smaller than the target stream length")
)

func xsetid(c *call) (Reply, error) {
	id, err := parseStrictID(c.args[2], 0)
	if err != nil {
		return nil, err
	}
	added, maxDeleted, err := parseSetID(id, c.args[3:])
	if err != nil {
		return nil, err
	}
	s, err := c.keys.Stream(c.args[1])
	if err != nil {
		return nil, err
	}
	switch {
	case s == nil:
		return nil, errNoKey
	case s.length > 0 && id.less(s.top()):
		return nil, errBelowTop
	case s.length > 0 && added != unknown && int64(s.length) > added:
		return nil, errAddedLength
	}
	s.last = id
	if added != unknown {
		s.added = added
	}
	if maxDeleted != minID {
		s.maxDeleted = maxDeleted
	}
	return okReply, nil
}

// parseSetID reads the options of XSETID with this ID.
func parseSetID(id ID, args []string) (added int64, maxDeleted ID, err error) {
	added = unknown
	for i := 0; i < len(args); i += 2 {
		switch {
		case i == len(args)-1:
			return 0, ID{}, errSyntax
		case is(args[i], "ENTRIESADDED"):
			if added, err = parseInt(args[i+1]); err == nil && added < 0 {
				err = errAddedNegative
			}
		case is(args[i], "MAXDELETEDID"):
			if maxDeleted, err = parseStrictID(args[i+1], 0); err == nil && id.less(maxDeleted) {
				err = errBelowDeleted
			}
		default:
			err = errSyntax
		}
		if err != nil {
			return 0, ID{}, err
		}
	}
	return added, maxDeleted, nil
}
