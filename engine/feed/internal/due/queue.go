package due

import (
	"sync"
	"time"
)

// Queue is items with the times at which they are due. All wait about as long, so that none is due before one that was queued earlier,
// or hardly. All methods may be called from any goroutine.
type Queue[T any] struct {
	mu struct {
		sync.Mutex
		items []queued[T] // the first one first
	}
}

type queued[T any] struct {
	item T
	at   time.Duration
}

// Add queues items that are due at that time.
func (q *Queue[T]) Add(at time.Duration, items ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, item := range items {
		q.mu.items = append(q.mu.items, queued[T]{item, at})
	}
}

// Take takes the first items that are due by now, as many as most at most; 0: all of them.
func (q *Queue[T]) Take(now time.Duration, most int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken []T
	for _, i := range q.mu.items {
		if i.at > now || most > 0 && len(taken) == most {
			break
		}
		taken = append(taken, i.item)
	}
	q.mu.items = q.mu.items[len(taken):]
	if len(q.mu.items) == 0 {
		q.mu.items = nil
	}
	return taken
}
