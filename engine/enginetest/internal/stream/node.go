package stream

import "slices"

// Redis keeps a stream as a tree of nodes, each a packed list of entries. What is visible of them: an approximate trim removes whole
// nodes, and XINFO STREAM counts them. So a node's size in bytes is reckoned as the server's encoding has it.
const (
	nodeMaxEntries = 100  // stream-node-max-entries
	nodeMaxBytes   = 4096 // stream-node-max-bytes
)

// node is a run of entries. One whose last entry is deleted is removed, but a trim leaves one with tombstones alone if the
// highest of these is above its limit.
type node struct {
	entries []entry  // tombstones included, never empty
	live    int      // entries that are not tombstones
	names   []string // fields of the first entry, which later ones with the same do not repeat
	bytes   int
}

type entry struct {
	id      ID
	fields  []string // names and values in turn
	deleted bool     // a tombstone, without fields
}

func (n *node) first() ID { return n.entries[0].id }
func (n *node) last() ID  { return n.entries[len(n.entries)-1].id }

// position returns where an ID is in the node, a tombstone or not, or where it would be.
func (n *node) position(id ID) (at int, found bool) {
	return slices.BinarySearchFunc(n.entries, id, func(e entry, id ID) int { return e.id.compare(id) })
}

// full reports whether an entry with so many bytes of names and values goes into another node.
func (n *node) full(bytes int) bool {
	return n.bytes+bytes >= nodeMaxBytes || len(n.entries) >= nodeMaxEntries
}

// newNode returns a node for an entry that is to be added to it.
func newNode(fields []string) *node {
	n := &node{}
	for i := 0; i < len(fields); i += 2 {
		n.names = append(n.names, fields[i])
	}
	// A header and an end; the numbers of entries, tombstones and names; the names; a zero.
	n.bytes = 7 + packedInt(1) + packedInt(0) + packedInt(int64(len(n.names))) + packedInt(0)
	for _, name := range n.names {
		n.bytes += packed(name)
	}
	return n
}

func (n *node) add(id ID, fields []string) {
	master := id
	if len(n.entries) > 0 {
		master = n.first()
	}
	same := n.sameNames(fields)
	pieces := int64(len(fields)/2) + 3
	n.bytes += packedInt(0) + packedInt(int64(id.ms-master.ms)) + packedInt(int64(id.seq-master.seq))
	if !same {
		pieces += int64(len(fields)/2) + 1
		n.bytes += packedInt(int64(len(fields) / 2))
	}
	n.bytes += packedInt(pieces)
	for i, field := range fields {
		if i%2 == 1 || !same {
			n.bytes += packed(field)
		}
	}
	n.entries = append(n.entries, entry{id: id, fields: fields})
	n.live++
}

func (n *node) sameNames(fields []string) bool {
	if len(fields) != 2*len(n.names) {
		return false
	}
	for i, name := range n.names {
		if fields[2*i] != name {
			return false
		}
	}
	return true
}

// bury makes a tombstone of a live entry.
func (n *node) bury(at int) {
	n.entries[at] = entry{id: n.entries[at].id, deleted: true}
	n.live--
}

// packed returns the bytes that a string takes in a packed list. One that is a number is kept as such.
func packed(s string) int {
	if v, err := parseInt(s); err == nil {
		return packedInt(v)
	}
	size := len(s)
	switch {
	case size < 64:
		size++
	case size < 4096:
		size += 2
	default:
		size += 5
	}
	return size + packedBack(size)
}

// packedBack returns the bytes in which the length of an item is repeated behind it, to be read backwards.
func packedBack(size int) int {
	switch {
	case size <= 127:
		return 1
	case size < 16383:
		return 2
	case size < 2097151:
		return 3
	case size < 268435455:
		return 4
	}
	return 5
}

func packedInt(v int64) int {
	switch {
	case v >= 0 && v < 1<<7:
		return 2
	case v >= -1<<12 && v < 1<<12:
		return 3
	case v >= -1<<15 && v < 1<<15:
		return 4
	case v >= -1<<23 && v < 1<<23:
		return 5
	case v >= -1<<31 && v < 1<<31:
		return 6
	}
	return 10
}
