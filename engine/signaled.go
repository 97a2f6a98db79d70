package engine

import (
	"sync"

	"github.com/streamlease/streamlease/lease"
)

const (
	// signalsWaiting is how many signals may wait for the handler of one lease, the one that it handles included. A handler that has
	// that many before it will look as often as anybody needs.
	signalsWaiting = 16
	// allSignalsWaiting is how many may wait in all: 16 MiB with the longest payloads.
	allSignalsWaiting = 4096
)

// signaled bounds the signals that wait for handlers. The zero value is ready; it is safe for concurrent use.
type signaled struct {
	mu    sync.Mutex
	count map[*lease.Lease]int
	all   int
}

// reserve reports whether there is room for one more.
func (w *signaled) reserve(l *lease.Lease) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= allSignalsWaiting || w.count[l] >= signalsWaiting {
		return false
	}
	if w.count == nil {
		w.count = make(map[*lease.Lease]int)
	}
	w.all++
	w.count[l]++
	return true
}

// release gives the room of one back.
func (w *signaled) release(l *lease.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.count[l]--; w.count[l] == 0 {
		delete(w.count, l)
	}
}
