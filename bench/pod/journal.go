package pod

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/journal"
)

// How often a worker notes in its journal what it owns.
const (
	lookEvery = 50 * time.Millisecond
	lookOften = 5 * time.Millisecond // where the journals have to show two owners even for a moment
)

// keepJournal notes what the worker owns from now on, until end is called.
func (w *worker) keepJournal(j *journal.Journal, often bool) (end func()) {
	w.journal = j
	every := lookEvery
	if often {
		every = lookOften
	}
	w.before++
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				j.Look()
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

func (w *worker) added(_ context.Context, n api.Notification) error {
	w.journal.Add(n.Lease)
	return nil
}

// releasing notes the last moment of an ownership that is handed back, unless it is being ended otherwise.
func (w *worker) releasing(_ context.Context, n api.Notification) error {
	if p := w.journal.Page(n.Lease); p != nil && p.Extend(n.Lease) {
		p.Turn(journal.Owned, journal.Given)
	}
	return nil
}
