package engine

import (
	"container/heap"
	"math/bits"
	"slices"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// errand is one entry to be ended.
type errand struct {
	lease.Disposition
	consumer string
	finish   bool         // done with, else given up
	lease    *lease.Lease // whose ending waits for the outcome; nil when nobody does
	tried    bool         // an attempt had an unknown outcome
	refused  int          // how often Redis refused this very errand
	blamed   int          // of them, how often for a reason that lies in the entry
	after    int64        // refused: not asked again before then
	stray    stray
	held     int // bytes that are counted in what is read and has no place
}

// errandOverhead is about what an errand takes beside what it remembers, in bytes, with its place in a queue.
const errandOverhead = 512

// weight is what an errand holds of an entry that was read. Those of streams that are owned, or were, hold their leases.
func (x *errand) weight() int {
	if x.lease != nil || x.stray.was != nil {
		return 0
	}
	n := errandOverhead + len(x.Key) + len(x.Reason) + len(x.Cut)
	if x.stray.entry != nil {
		n += x.stray.entry.Held()
	}
	return n
}

// errands are those of one partition that wait. What was refused waits apart, each for its time, and those that an owner
// waits for apart from those that nobody does: however many of these there are, no ending of a stream stands behind them.
type errands struct {
	fresh  errandLine
	owners errandHeap // refused
	strays errandHeap // refused, and nobody waits
	turn   bool       // those that were refused come next, if it is time for some
}

// skipMost is how many errands are looked past for such as travel with the first one.
const skipMost = 1024

// put adds errands at the end.
func (q *errands) put(batch ...errand) {
	for i := range batch {
		if batch[i].refused == 0 {
			q.fresh.put(batch[i])
		} else {
			q.putRefused(batch[i])
		}
	}
}

// putBack adds errands that were taken in front.
func (q *errands) putBack(batch []errand) {
	if len(batch) == 0 {
		return
	}
	if batch[0].refused > 0 {
		q.put(batch...)
		return
	}
	q.fresh.putBack(batch)
}

func (q *errands) putRefused(x errand) {
	h := &q.strays
	if x.lease != nil {
		h = &q.owners
	}
	heap.Push(h, &x)
}

// len is how many there are.
func (q *errands) len() int { return q.fresh.len() + len(q.owners) + len(q.strays) }

// all yields all of them.
func (q *errands) all(yield func(*errand) bool) {
	for i := range q.fresh.items[q.fresh.head:] {
		if !yield(&q.fresh.items[q.fresh.head+i]) {
			return
		}
	}
	for _, h := range []errandHeap{q.owners, q.strays} {
		for _, x := range h {
			if !yield(x) {
				return
			}
		}
	}
}

// refusedAt is when the first of those that were refused has its time; false when there is none.
func (q *errands) refusedAt() (at int64, ok bool) {
	for _, h := range []errandHeap{q.owners, q.strays} {
		if len(h) > 0 && (!ok || h[0].after < at) {
			at, ok = h[0].after, true
		}
	}
	return at, ok
}

// take takes what travels in the next script: at most fresh of those that were never refused, or at most again of those that
// were, which take turns.
func (q *errands) take(now int64, fresh, again int) []errand {
	at, some := q.refusedAt()
	if due := some && at <= now; due && (q.turn || q.fresh.len() == 0) {
		q.turn = false
		if len(q.owners) > 0 && q.owners[0].after <= now {
			return takeDue(&q.owners, now, again)
		}
		return takeDue(&q.strays, now, again)
	}
	q.turn = true
	return q.fresh.take(fresh)
}

// takeDue takes those whose time has come.
func takeDue(h *errandHeap, now int64, most int) []errand {
	var l load
	var skipped []*errand
	for len(*h) > 0 && (*h)[0].after <= now && len(l.batch) < most && len(skipped) < skipMost {
		switch x := (*h)[0]; {
		case !l.travels(x):
			skipped = append(skipped, heap.Pop(h).(*errand))
			continue
		case !l.add(x):
			most = 0
			continue
		}
		heap.Pop(h)
	}
	for _, x := range skipped {
		heap.Push(h, x)
	}
	return l.batch
}

// load is what is put into one script.
type load struct {
	batch  []errand
	weight int // of the copies
	memory int // of what is announced from memory
}

// travels reports whether an errand goes into the script of those that are there.
func (l *load) travels(x *errand) bool {
	if len(l.batch) == 0 {
		return true
	}
	first := &l.batch[0]
	if x.consumer != first.consumer || x.finish != first.finish || x.stray.found != first.stray.found {
		return false
	}
	return !x.stray.found || l.memory+x.memoryWeight() <= lease.MaxCallWeight
}

// add puts it there, unless that made too much to copy.
func (l *load) add(x *errand) bool {
	if !x.finish { // what is done with is not copied
		if l.weight += x.Size; l.weight > lease.MaxCallWeight && len(l.batch) > 0 {
			return false
		}
	}
	if x.stray.found {
		l.memory += x.memoryWeight()
	}
	l.batch = append(l.batch, *x)
	return true
}

// errandLine is errands in their order. What goes back to its front takes the place that it had, and a long line is not copied.
type errandLine struct {
	items []errand
	head  int // what is before has been taken
}

func (l *errandLine) len() int { return len(l.items) - l.head }

func (l *errandLine) put(x errand) {
	if l.head > len(l.items)/2 && len(l.items) == cap(l.items) {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	l.items = append(l.items, x)
}

func (l *errandLine) putBack(batch []errand) {
	if l.head < len(batch) {
		l.items, l.head = slices.Concat(batch, l.items[l.head:]), 0
		return
	}
	l.head -= len(batch)
	copy(l.items[l.head:], batch)
}

// take takes the first errands that can travel in one script, most at a time.
func (l *errandLine) take(most int) []errand {
	var out load
	var skipped []errand
	queue, n := l.items[l.head:], 0
	for ; n < len(queue) && len(out.batch) < most && len(skipped) < skipMost; n++ {
		x := &queue[n]
		if !out.travels(x) {
			skipped = append(skipped, *x)
			continue
		}
		if !out.add(x) {
			break
		}
	}
	// Only what was skipped moves: a long queue is not copied for every batch of it.
	n -= len(skipped)
	copy(queue[n:], skipped)
	clear(queue[:n])
	if l.head += n; l.head == len(l.items) {
		*l = errandLine{}
	}
	return out.batch
}

// errandHeap orders errands by when they are asked again.
type errandHeap []*errand

func (h errandHeap) Len() int           { return len(h) }
func (h errandHeap) Less(i, j int) bool { return h[i].after < h[j].after }
func (h errandHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *errandHeap) Push(x any)        { *h = append(*h, x.(*errand)) }
func (h *errandHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}

// inStep brings a time forward by up to a quarter of the wait for it, to one that others have, too: what is refused is asked
// again in few calls, and not each by itself.
func inStep(at int64, wait time.Duration) int64 {
	if step := uint64(wait) / 4; step > 0 {
		return at &^ (1<<(bits.Len64(step)-1) - 1)
	}
	return at
}
