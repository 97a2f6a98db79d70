package completion

import (
	"container/heap"

	"github.com/streamlease/streamlease/lease"
)

// completion is one entry to be completed.
type completion struct {
	lease.Disposition
	consumer string
	finish   bool         // done with, else moved
	lease    *lease.Lease // whose ending waits for the outcome; nil when nobody does
	tried    bool         // an attempt had an unknown outcome
	refused  int          // how often Redis refused this very completion
	blamed   int          // of them, how often for a reason that lies in the entry
	after    int64        // refused: not retried before then
	tampered tampered
	held     int // bytes that are counted in what is read and has no place
}

// overhead is about what a completion takes beside what it remembers, in bytes, with its place in a queue.
const overhead = 512

// weight is what a completion holds of an entry that was read. Those of streams that are owned, or were, hold their leases.
func (x *completion) weight() int {
	if x.lease != nil || x.tampered.was != nil {
		return 0
	}
	n := overhead + len(x.Key) + len(x.Reason) + len(x.Cut)
	if x.tampered.entry != nil {
		n += x.tampered.entry.Held()
	}
	return n
}

// queue is the completions of one partition that wait. Those that were refused wait apart, each for its time, and those that an
// owner waits for apart from those that nobody does: however many of these there are, no end of a lease is queued behind them.
type queue struct {
	fresh   line
	owners  retryHeap // refused
	unowned retryHeap // refused, and nobody waits
	turn    bool      // those that were refused come next, if it is time for some
}

// skipMost is how many completions are looked past for such as travel with the first one.
const skipMost = 1024

// put adds completions at the end.
func (q *queue) put(batch ...completion) {
	for i := range batch {
		if batch[i].refused == 0 {
			q.fresh.put(batch[i])
		} else {
			q.putRefused(batch[i])
		}
	}
}

// putBack adds completions that were taken in front.
func (q *queue) putBack(batch []completion) {
	if len(batch) == 0 {
		return
	}
	if batch[0].refused > 0 {
		q.put(batch...)
		return
	}
	q.fresh.putBack(batch)
}

func (q *queue) putRefused(x completion) {
	h := &q.unowned
	if x.lease != nil {
		h = &q.owners
	}
	heap.Push(h, &x)
}

// len is how many there are.
func (q *queue) len() int { return q.fresh.len() + len(q.owners) + len(q.unowned) }

// all yields all of them.
func (q *queue) all(yield func(*completion) bool) {
	for i := range q.fresh.items[q.fresh.head:] {
		if !yield(&q.fresh.items[q.fresh.head+i]) {
			return
		}
	}
	for _, h := range []retryHeap{q.owners, q.unowned} {
		for _, x := range h {
			if !yield(x) {
				return
			}
		}
	}
}

// refusedAt is when the first of those that were refused has its time; false when there is none.
func (q *queue) refusedAt() (at int64, ok bool) {
	for _, h := range []retryHeap{q.owners, q.unowned} {
		if len(h) > 0 && (!ok || h[0].after < at) {
			at, ok = h[0].after, true
		}
	}
	return at, ok
}

// take takes what travels in the next call: at most fresh of those that were never refused, or at most again of those that
// were, which take turns.
func (q *queue) take(now int64, fresh, again int) []completion {
	at, some := q.refusedAt()
	if due := some && at <= now; due && (q.turn || q.fresh.len() == 0) {
		q.turn = false
		if len(q.owners) > 0 && q.owners[0].after <= now {
			return takeDue(&q.owners, now, again)
		}
		return takeDue(&q.unowned, now, again)
	}
	q.turn = true
	return q.fresh.take(fresh)
}

// takeDue takes those whose time has come.
func takeDue(h *retryHeap, now int64, most int) []completion {
	var l call
	var skipped []*completion
	for len(*h) > 0 && (*h)[0].after <= now && len(l.batch) < most && len(skipped) < skipMost {
		switch x := (*h)[0]; {
		case !l.travels(x):
			skipped = append(skipped, heap.Pop(h).(*completion))
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

// call is what travels in one call.
type call struct {
	batch  []completion
	weight int // of the copies
	memory int // of what is announced from memory
}

// travels reports whether a completion goes into the call of those that are there.
func (l *call) travels(x *completion) bool {
	if len(l.batch) == 0 {
		return true
	}
	first := &l.batch[0]
	if x.consumer != first.consumer || x.finish != first.finish || x.tampered.found != first.tampered.found {
		return false
	}
	return !x.tampered.found || l.memory+x.memoryWeight() <= lease.MaxCallWeight
}

// add puts it there, unless that made too much to copy.
func (l *call) add(x *completion) bool {
	if !x.finish { // what is done with is not copied
		if l.weight += x.Size; l.weight > lease.MaxCallWeight && len(l.batch) > 0 {
			return false
		}
	}
	if x.tampered.found {
		l.memory += x.memoryWeight()
	}
	l.batch = append(l.batch, *x)
	return true
}
