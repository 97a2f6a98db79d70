package wheel

import (
	"fmt"
	"math"
)

// lanes is the number of lists per slot. Compared with one list, four halve the
// cost of renewals and jumps at a million timers (BenchmarkRenew, BenchmarkJump);
// eight gave no measurable gain over four, for twice as many heads.
const (
	lanes    = 1 << laneBits
	laneBits = 2
)

// Wheel holds at most one deadline for each handle. It belongs to one goroutine.
type Wheel struct {
	size   int64 // nanoseconds per tick
	now    int64 // the last tick given to Advance; every armed handle is later
	armed  int
	levels []level
	nodes  nodes

	// heads of the lists: the lanes of one slot next to each other, then the next
	// slot, then the next level. A slot's bit in its level is set exactly when one
	// of its lanes is not empty.
	heads    []link
	slotBits uint
}

// New returns an empty wheel whose time is start, in nanoseconds on the same
// axis as all later times. The error is that of [Config.Validate].
func New(cfg Config, start int64) (*Wheel, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	w := &Wheel{
		size:     int64(cfg.Tick),
		levels:   make([]level, cfg.Levels),
		heads:    make([]link, cfg.Levels<<cfg.SlotBits<<laneBits),
		slotBits: uint(cfg.SlotBits),
	}
	w.now = w.floor(start)
	for i := range w.levels {
		w.levels[i].shift = uint(i * cfg.StepBits)
		w.levels[i].mask = 1<<cfg.SlotBits - 1
	}
	for i := range w.heads {
		w.heads[i] = none
	}
	return w, nil
}

// Schedule arms h for the time at, or moves it there, and records its partition.
// at is rounded up to a tick; a time already past means the next tick. It panics
// if h is above [MaxHandle].
//
// The new deadline may be before what [Wheel.Next] returned last.
func (w *Wheel) Schedule(h Handle, partition uint16, at int64) {
	if h > MaxHandle {
		panic(fmt.Sprintf("wheel: handle %d, must be at most %d", h, MaxHandle))
	}
	tick := max(w.ceil(at), w.now+1)
	n := w.nodes.grow(link(h))
	switch {
	case !n.armed():
		w.armed++
	case n.tick() == tick:
		n.set(tick, partition)
		return
	default:
		w.unlink(n)
	}
	n.set(tick, partition)
	w.file(link(h), n)
}

// Cancel disarms h and reports whether it was armed. A handle that Advance has
// put into a Due is no longer armed.
func (w *Wheel) Cancel(h Handle) bool {
	n := w.nodes.get(link(h))
	if n == nil || !n.armed() {
		return false
	}
	w.unlink(n)
	n.prev = none
	w.armed--
	return true
}

// Deadline returns the deadline of h, rounded up to a tick, in nanoseconds, and
// false if h is not armed.
func (w *Wheel) Deadline(h Handle) (at int64, ok bool) {
	n := w.nodes.get(link(h))
	if n == nil || !n.armed() {
		return 0, false
	}
	return w.time(n.tick()), true
}

// Len returns the number of armed handles.
func (w *Wheel) Len() int { return w.armed }

// Next returns when to call Advance again: never after the earliest deadline,
// and always after the time of the last Advance, rounded down to a tick. It may
// be before the earliest deadline, if timers have to move to a lower level
// first; that happens at most Levels-1 times for a timer within the range. It
// returns false if nothing is armed.
func (w *Wheel) Next() (at int64, ok bool) {
	tick, ok := w.next()
	if !ok {
		return 0, false
	}
	return w.time(tick), true
}

// next returns the next tick at which a slot is due or cascades.
func (w *Wheel) next() (tick int64, ok bool) {
	for i := range w.levels {
		if t, found := w.levels[i].next(w.now); found && (!ok || t < tick) {
			tick, ok = t, true
		}
	}
	return tick, ok
}

// file links n, which is in no list, into the slot for its tick: in the lowest
// level that reaches it, or else the farthest slot of all.
func (w *Wheel) file(h link, n *node) {
	tick := n.tick()
	for i := range w.levels {
		l := &w.levels[i]
		// The distance is in slots, not ticks, and less than the number of slots:
		// one more would be the slot of the current tick, which is being emptied
		// when a cascade gets here, and would be taken a whole turn early.
		number, base := tick>>l.shift, w.now>>l.shift
		if number-base <= l.mask {
			w.link(h, n, i, number&l.mask)
			return
		}
	}
	last := len(w.levels) - 1
	l := &w.levels[last]
	w.link(h, n, last, (w.now>>l.shift+l.mask)&l.mask)
}

func (w *Wheel) link(h link, n *node, level int, slot int64) {
	w.levels[level].mark(slot)
	list := link(level<<w.slotBits|int(slot))<<laneBits | h&(lanes-1)
	first := w.heads[list]
	if first != none {
		w.nodes.at(first).prev = h
	}
	n.next, n.prev = first, toHead|list
	w.heads[list] = h
}

// unlink removes n from its list and leaves n's own links as they were.
func (w *Wheel) unlink(n *node) {
	if n.next != none {
		w.nodes.at(n.next).prev = n.prev
	}
	if n.prev&toHead == 0 {
		w.nodes.at(n.prev).next = n.next
		return
	}
	list := n.prev &^ toHead
	w.heads[list] = n.next
	if n.next == none {
		w.emptied(list)
	}
}

// emptied clears the bit of a slot if the lane that became empty was its last one.
func (w *Wheel) emptied(list link) {
	slot := list >> laneBits
	for _, first := range w.heads[slot<<laneBits : (slot+1)<<laneBits] {
		if first != none {
			return
		}
	}
	w.levels[slot>>w.slotBits].clear(int64(slot) & w.levels[0].mask)
}

// floor and ceil convert a time to a tick; both are right for negative times.
func (w *Wheel) floor(at int64) int64 {
	tick := at / w.size
	if at%w.size < 0 {
		tick--
	}
	return tick
}

func (w *Wheel) ceil(at int64) int64 {
	tick := at / w.size
	if at%w.size > 0 {
		tick++
	}
	return tick
}

// time returns when a tick begins. Only the tick above the end of the axis does
// not fit; for that one it returns the end.
func (w *Wheel) time(tick int64) int64 {
	if tick > math.MaxInt64/w.size {
		return math.MaxInt64
	}
	return tick * w.size
}
