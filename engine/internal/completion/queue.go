package completion

import "container/heap"

// queue is the completions of one partition that wait. Those that were refused wait apart, each for its time, and those that an
// owner waits for apart from those that nobody does: however many of these there are, no end of a lease is queued behind them.
type queue struct {
	fresh   line
	owners  retryHeap // refused
	unowned retryHeap // refused, and nobody waits
	turn    bool      // those that were refused come next, if it is time for some
}

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

// setAside adds completions that were taken at the end.
func (q *queue) setAside(batch []completion) { q.put(batch...) }

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
