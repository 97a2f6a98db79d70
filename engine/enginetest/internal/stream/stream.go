package stream

import (
	"iter"
	"maps"
	"slices"
)

// Stream is the value of one key of type stream. It is not safe for concurrent use.
type Stream struct {
	nodes      []*node
	length     int
	added      int64 // entries ever added
	first      ID    // of the first entry, or 0-0
	last       ID    // the highest ever given out
	maxDeleted ID    // the highest that XDEL removed
	groups     map[string]*group
}

// New returns an empty stream.
func New() *Stream { return &Stream{groups: make(map[string]*group)} }

// Clone returns a copy that shares nothing that changes.
func (s *Stream) Clone() *Stream {
	c := *s
	c.nodes = make([]*node, len(s.nodes))
	for i, n := range s.nodes {
		copied := *n
		copied.entries = slices.Clone(n.entries)
		c.nodes[i] = &copied
	}
	c.groups = make(map[string]*group, len(s.groups))
	for name, g := range s.groups {
		c.groups[name] = g.clone()
	}
	return &c
}

func (s *Stream) groupNames() []string { return slices.Sorted(maps.Keys(s.groups)) }

// add adds an entry with an ID above the last one.
func (s *Stream) add(id ID, fields []string) {
	bytes := 0
	for _, field := range fields {
		bytes += len(field)
	}
	if len(s.nodes) == 0 || s.nodes[len(s.nodes)-1].full(bytes) {
		s.nodes = append(s.nodes, newNode(fields))
	}
	s.nodes[len(s.nodes)-1].add(id, slices.Clone(fields))
	s.length++
	s.added++
	s.last = id
	if s.length == 1 {
		s.first = id
	}
}

// node returns the index of the node that an ID belongs to: the last one that starts at or before it, or the first.
func (s *Stream) node(id ID) int {
	at, found := slices.BinarySearchFunc(s.nodes, id, func(n *node, id ID) int { return n.first().compare(id) })
	if !found && at > 0 {
		at--
	}
	return at
}

// get returns an entry, or nil.
func (s *Stream) get(id ID) *entry {
	for e := range s.entries(id, id) {
		return e
	}
	return nil
}

// delete makes a tombstone of an entry. It reports whether there was one.
func (s *Stream) delete(id ID) bool {
	i := s.node(id)
	if i == len(s.nodes) {
		return false
	}
	n := s.nodes[i]
	at, found := n.position(id)
	if !found || n.entries[at].deleted {
		return false
	}
	if n.live == 1 {
		s.nodes = slices.Delete(s.nodes, i, i+1)
	} else {
		n.bury(at)
	}
	s.length--
	return true
}

// entries iterates from one ID to another, both included. The stream must not change meanwhile.
func (s *Stream) entries(from, to ID) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := s.node(from); i < len(s.nodes); i++ {
			n := s.nodes[i]
			at := 0
			if n.first().less(from) {
				at, _ = n.position(from)
			}
			for ; at < len(n.entries); at++ {
				e := &n.entries[at]
				if to.less(e.id) || !e.deleted && !yield(e) {
					return
				}
			}
		}
	}
}

// backward iterates like entries, from the highest ID.
func (s *Stream) backward(from, to ID) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := min(s.node(to), len(s.nodes)-1); i >= 0; i-- {
			n := s.nodes[i]
			for at := len(n.entries) - 1; at >= 0; at-- {
				e := &n.entries[at]
				if to.less(e.id) || e.deleted {
					continue
				}
				if e.id.less(from) || !yield(e) {
					return
				}
			}
		}
	}
}

// firstID returns the ID of the first entry, or 0-0.
func (s *Stream) firstID() ID {
	for e := range s.entries(minID, maxID) {
		return e.id
	}
	return minID
}

// top returns the ID of the last entry, which may be below that of the last one added, or 0-0.
func (s *Stream) top() ID {
	for e := range s.backward(minID, maxID) {
		return e.id
	}
	return minID
}

// LastID returns the highest ID that was ever given out, "0-0" if none.
func (s *Stream) LastID() string { return s.last.String() }
