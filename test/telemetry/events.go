package telemetry

import (
	"sync"

	"github.com/streamlease/streamlease/api"
)

// Events counts the events of an engine: give its Add to engine.WithEvents. The zero value is empty and ready.
type Events struct {
	mu     sync.Mutex
	counts map[api.EventKind]int
}

// Add counts an event.
func (e *Events) Add(event api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = make(map[api.EventKind]int)
	}
	e.counts[event.Kind]++
}

// Count returns how many events of a kind there were.
func (e *Events) Count(kind api.EventKind) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts[kind]
}
