package feed

import (
	"container/heap"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// place is the place of a stream in the busy list, and what others see of its work.
type place struct {
	prev, next *work
	first      position.ID // of the messages that were read and not handled
	some       bool        // there is such a message
}

// busyList is the streams that are doing something. Most rest, so whoever looks for those that are behind need not look at all.
type busyList struct {
	sync.Mutex
	head *work
	n    int
}

func (l *busyList) add(w *work) {
	l.Lock()
	defer l.Unlock()
	w.next = l.head
	if l.head != nil {
		l.head.prev = w
	}
	l.head = w
	l.n++
}

func (l *busyList) remove(w *work) {
	l.Lock()
	defer l.Unlock()
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	l.n--
}

func (l *busyList) count() int {
	l.Lock()
	defer l.Unlock()
	return l.n
}

// each calls f with every busy stream, whose mutex is locked.
func (l *busyList) each(f func(s *stream, w *work)) {
	l.Lock()
	all := make([]*work, 0, l.n)
	for w := l.head; w != nil; w = w.next {
		all = append(all, w)
	}
	l.Unlock()
	for _, w := range all {
		s := w.stream
		s.mu.Lock()
		if s.work == w {
			f(s, w)
		}
		s.mu.Unlock()
	}
}

// noteLocked notes which message is the oldest that is not handled. Where messages are dropped to be read again, it stays.
func (w *work) noteLocked() {
	if len(w.messages) > 0 {
		w.first, w.some = idOf(w.messages[0].ID), true
	}
}

// waitingLocked returns how many messages were read and not handled, and the first of them; some false: there is none.
func (w *work) waitingLocked() (n int, first position.ID, some bool) {
	n, first, some = len(w.messages), w.first, w.some
	if b := w.batch; b != nil && b.handled > 0 {
		n -= b.handled
		if n == 0 {
			return 0, position.ID{}, false
		}
		first = idOf(w.messages[b.handled].ID)
	}
	return n, first, some
}

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

// lags calls f with the lag of every stream that is behind.
func (k *core) lags(f func(l StreamLag)) {
	now := time.Now()
	k.busy.each(func(s *stream, w *work) {
		n, first, some := w.waitingLocked()
		if !some {
			return
		}
		age := now.Sub(first.Time())
		if age > madeUp {
			age = 0
		}
		f(StreamLag{
			Stream: s.Stream(), Position: s.at.String(), Age: max(age, 0), Messages: n,
			More: w.full || s.phase == delayed, Failures: int(s.failures),
		})
	})
}

// furthest returns the n streams that are furthest behind, the furthest first.
func (k *core) furthest(n int) []StreamLag {
	if n <= 0 {
		return nil
	}
	var best lagHeap
	k.lags(func(l StreamLag) {
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

// gauges are measured when a scrape asks for them.
func (k *core) gauges(emit metrics.Emit) {
	var longest, sum time.Duration
	var messages int
	var behind [len(metrics.Ages)]int
	k.lags(func(l StreamLag) {
		longest = max(longest, l.Age)
		sum += l.Age
		messages += l.Messages
		for i, age := range metrics.Ages {
			if l.Age >= age {
				behind[i]++
			}
		}
	})
	polling := 0.0
	if k.polling != nil && k.polling() {
		polling = 1
	}
	for i, n := range behind {
		emit(metrics.FeedBehind.With(metrics.Age(i)), noPartition, float64(n))
	}
	for _, g := range []struct {
		gauge metrics.Gauge
		value float64
	}{
		{metrics.FeedStreams, float64(k.streams.count())},
		{metrics.FeedBusy, float64(k.busy.count())},
		{metrics.FeedWaiting, float64(k.workers.Waiting())},
		{metrics.FeedRetrying, float64(k.retrying.Load())},
		{metrics.FeedKept, float64(k.kept.Load())},
		{metrics.FeedKeptBytes, float64(k.keptBytes.Load())},
		{metrics.FeedBytes, float64(k.bytes.Load())},
		{metrics.FeedLag, longest.Seconds()},
		{metrics.FeedLagSum, sum.Seconds()},
		{metrics.FeedLagMessages, float64(messages)},
		{metrics.FeedPolling, polling},
	} {
		emit(g.gauge, noPartition, g.value)
	}
}
