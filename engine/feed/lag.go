package feed

import (
	"container/heap"
	"slices"
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/list"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// StreamLag is how far the reading of a stream is behind.
type StreamLag struct {
	// Stream is its name.
	Stream string
	// Position is the ID of the last message that was handled.
	Position string
	// Age is how long ago the oldest message was added that was read and is not handled, by its ID: 0 or more.
	Age time.Duration
	// Messages is how many messages were read and are not handled. 0 while the stream waits for a retry, which reads them again.
	Messages int
	// More reports whether there may be more messages in Redis.
	More bool
	// Failures is how often the message after the position has failed.
	Failures int
}

// madeUp is the age beyond which an ID is no time: producers may choose IDs.
const madeUp = 10 * 365 * 24 * time.Hour

// eachBusy calls f with every busy stream, whose mutex is locked. Most rest, so whoever looks for those that are behind need not look at
// all.
func eachBusy(busy *list.List[*stream], f func(s *stream)) {
	for _, s := range busy.All() {
		s.mu.Lock()
		if s.work != nil {
			f(s)
		}
		s.mu.Unlock()
	}
}

// lags calls f with the lag of every stream that is behind.
func lags(busy *list.List[*stream], f func(l StreamLag)) {
	now := time.Now()
	eachBusy(busy, func(s *stream) {
		n, first, some := s.work.waitingLocked()
		if !some {
			return
		}
		age := now.Sub(first.Time())
		if age > madeUp {
			age = 0
		}
		f(StreamLag{
			Stream: s.Stream(), Position: s.at.String(), Age: max(age, 0), Messages: n,
			More: s.work.full || s.phase == delayed, Failures: int(s.failures),
		})
	})
}

// waitingLocked returns how many messages were read and not handled, and the first of them; some false: there is none.
func (w *work) waitingLocked() (n int, first position.ID, some bool) {
	n, first, some = len(w.messages), w.oldest, w.behind
	if b := w.batch; b != nil && b.handled > 0 {
		n -= b.handled
		if n == 0 {
			return 0, position.ID{}, false
		}
		first = idOf(w.messages[b.handled].ID)
	}
	return n, first, some
}

// furthest returns the n streams that are furthest behind, the furthest first.
func furthest(busy *list.List[*stream], n int) []StreamLag {
	if n <= 0 {
		return nil
	}
	var best lagHeap
	lags(busy, func(l StreamLag) {
		if len(best) < n {
			heap.Push(&best, l)
		} else if best.ahead(best[0], l) {
			best[0] = l
			heap.Fix(&best, 0)
		}
	})
	slices.SortFunc(best, func(a, b StreamLag) int {
		if best.ahead(a, b) {
			return 1
		}
		return -1
	})
	return best
}

// lagHeap has the stream that is least behind first.
type lagHeap []StreamLag

// ahead reports whether a is less behind than b.
func (lagHeap) ahead(a, b StreamLag) bool {
	if a.Age != b.Age {
		return a.Age < b.Age
	}
	if a.Messages != b.Messages {
		return a.Messages < b.Messages
	}
	return a.Stream > b.Stream
}

func (h lagHeap) Len() int           { return len(h) }
func (h lagHeap) Less(i, j int) bool { return h.ahead(h[i], h[j]) }
func (h lagHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lagHeap) Push(x any)        { *h = append(*h, x.(StreamLag)) }
func (h *lagHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
