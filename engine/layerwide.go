package engine

import (
	"slices"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/guard"
)

// signalsMissed has SignalsMissed called.
func (w *layered) signalsMissed(partition int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.closed || slices.Contains(w.mu.missed, partition) {
		return
	}
	w.mu.missed = append(w.mu.missed, partition)
	w.callLocked()
}

// changed has Topology called.
func (w *layered) changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.mu.closed:
	case w.mu.topology.calling:
		w.mu.topology.again = true
	default:
		w.mu.topology.calling = true
		go w.callTopology()
	}
}

func (w *layered) callTopology() {
	guard.Finally(func() error { w.layer.Topology(); return nil }, func(err error) {
		if err != nil {
			w.failed(api.Notification{}, err)
		}
		w.mu.Lock()
		again := w.mu.topology.again && !w.mu.closed
		w.mu.topology = topologyCalls{calling: again}
		w.mu.Unlock()
		w.changes.Broadcast()
		if again {
			go w.callTopology()
		}
	})
}
