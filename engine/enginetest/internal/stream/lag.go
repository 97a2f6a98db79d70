package stream

// unknown is a count that cannot be told, and one that was not given.
const unknown int64 = -1

// advance moves a group to an entry that is being delivered.
func (g *group) advance(s *Stream, id ID) {
	if g.read != unknown && !s.deletedFrom(id) {
		g.read++
	} else if s.added != 0 {
		g.read = s.readAt(id)
	}
	g.last = id
}

// lag returns how many entries a group has yet to read, or Null if that cannot be told. It is below zero if the group was told to
// have read more than were added.
func (g *group) lag(s *Stream) Reply {
	if s.added == 0 {
		return int64(0)
	}
	read := g.read
	if read == unknown || s.deletedFrom(g.last) {
		read = s.readAt(g.last)
	}
	if read == unknown {
		return Null{}
	}
	return s.added - read
}

// deletedFrom reports whether the highest entry that XDEL removed is at or after an ID, and not before the first entry: then
// numbers of entries say nothing about IDs behind it.
func (s *Stream) deletedFrom(id ID) bool {
	return s.length > 0 && s.maxDeleted != minID && !s.maxDeleted.less(s.first) && !s.maxDeleted.less(id)
}

// readAt returns how many entries were ever added up to an ID, where that is certain: at both ends of the stream.
func (s *Stream) readAt(id ID) int64 {
	atLast := id.compare(s.last)
	switch {
	case s.added == 0:
		return 0
	case atLast == 0 || s.length == 0 && atLast < 0:
		return s.added
	case atLast > 0:
		return unknown
	}
	if s.maxDeleted != minID && !s.maxDeleted.less(s.first) {
		return unknown
	}
	switch id.compare(s.first) {
	case -1:
		return s.added - int64(s.length)
	case 0:
		return s.added - int64(s.length) + 1
	}
	return unknown
}

// readReply returns how many entries the group has read, or Null.
func (g *group) readReply() Reply {
	if g.read == unknown {
		return Null{}
	}
	return g.read
}
