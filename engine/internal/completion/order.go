package completion

import (
	"math/bits"
	"slices"
	"time"
)

// line is completions in their order. What goes back to its front takes the place that it had, and a long line is not copied.
type line struct {
	items []completion
	head  int // what is before has been taken
}

func (l *line) len() int { return len(l.items) - l.head }

func (l *line) put(x completion) {
	if l.head > len(l.items)/2 && len(l.items) == cap(l.items) {
		n := copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	l.items = append(l.items, x)
}

func (l *line) putBack(batch []completion) {
	if l.head < len(batch) {
		l.items, l.head = slices.Concat(batch, l.items[l.head:]), 0
		return
	}
	l.head -= len(batch)
	copy(l.items[l.head:], batch)
}

// take takes the first completions that can travel in one call, most at a time.
func (l *line) take(most int) []completion {
	var out call
	var skipped []completion
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
		*l = line{}
	}
	return out.batch
}

// retryHeap orders completions by when they are retried.
type retryHeap []*completion

func (h retryHeap) Len() int           { return len(h) }
func (h retryHeap) Less(i, j int) bool { return h[i].after < h[j].after }
func (h retryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *retryHeap) Push(x any)        { *h = append(*h, x.(*completion)) }
func (h *retryHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}

// inStep brings a time forward by up to a quarter of the wait for it, to one that others have, too: what is refused is
// retried in few calls, and not each by itself.
func inStep(at int64, wait time.Duration) int64 {
	if step := uint64(wait) / 4; step > 0 {
		return at &^ (1<<(bits.Len64(step)-1) - 1)
	}
	return at
}
