package waitlist

import "container/heap"

// dueHeap orders the streams of a partition by when they are due; each knows its place.
type dueHeap []*parked

// notQueued is the place of a stream that is not in the heap.
const notQueued = -1

// queueLocked has a stream looked at at a time. It reports whether that is the first one of its partition.
func (l *List) queueLocked(r *parked, at int64) (first bool) {
	r.due = at
	h := &l.mu.due[r.session.Partition()]
	if r.place == notQueued {
		heap.Push(h, r)
	} else {
		heap.Fix(h, r.place)
	}
	return r.place == 0
}

func (l *List) unqueueLocked(r *parked) {
	if r.place != notQueued {
		heap.Remove(&l.mu.due[r.session.Partition()], r.place)
	}
}

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *dueHeap) Push(x any) {
	r := x.(*parked)
	r.place = len(*h)
	*h = append(*h, r)
}
func (h *dueHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	r.place = notQueued
	return r
}
