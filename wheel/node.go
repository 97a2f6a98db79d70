package wheel

// Handle names a timer. The caller chooses it, as a dense index into its own
// table, from 0 to [MaxHandle].
type Handle uint32

// MaxHandle is the largest handle: the other half of the 32-bit range marks
// links that lead to the head of a list.
const MaxHandle Handle = 1<<31 - 1

// A link is a handle, or toHead with the number of a list, or none.
type link = uint32

const (
	toHead link = 1 << 31
	none   link = 1<<32 - 1
)

// node is the timer of one handle. It is 16 bytes, four to a cache line.
type node struct {
	next link // the next node of the list, or none
	prev link // the previous node, toHead|list for the first, none when disarmed
	when int64
}

// partitionBits is the size of the lower part of node.when; the tick, with its
// sign, is the upper part.
const partitionBits = 16

func (n *node) armed() bool       { return n.prev != none }
func (n *node) tick() int64       { return n.when >> partitionBits }
func (n *node) partition() uint16 { return uint16(n.when) }
func (n *node) set(tick int64, partition uint16) {
	n.when = tick<<partitionBits | int64(partition)
}

const pageBits = 8

// page takes 4 KB, one of the allocator's size classes, and has no pointers for
// the garbage collector to follow.
type page [1 << pageBits]node

// nodes holds the node of every handle used so far. Pages never move.
type nodes struct {
	pages []*page
}

// at returns the node of a handle whose page exists.
func (ns *nodes) at(h link) *node {
	return &ns.pages[h>>pageBits][h&(1<<pageBits-1)]
}

// get returns nil for a handle whose page does not exist.
func (ns *nodes) get(h link) *node {
	if i := int(h >> pageBits); i >= len(ns.pages) || ns.pages[i] == nil {
		return nil
	}
	return ns.at(h)
}

// grow returns the node of h, and allocates its page if there is none.
func (ns *nodes) grow(h link) *node {
	i := int(h >> pageBits)
	if i >= len(ns.pages) {
		ns.pages = append(ns.pages, make([]*page, i+1-len(ns.pages))...)
	}
	if ns.pages[i] == nil {
		p := new(page)
		for j := range p {
			p[j].prev = none
		}
		ns.pages[i] = p
	}
	return ns.at(h)
}
