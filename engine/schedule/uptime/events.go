package main

import "sync"

// waiting is how many batches of reports may wait for one browser.
const waiting = 64

// events hands reports to the browsers that listen.
type events struct {
	mu        sync.Mutex
	listeners map[chan []Report]bool
}

// listen returns a channel of all reports from now on, until stop. It is closed if the listener does not keep up.
func (e *events) listen() (reports <-chan []Report, stop func()) {
	c := make(chan []Report, waiting)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners == nil {
		e.listeners = make(map[chan []Report]bool)
	}
	e.listeners[c] = true
	return c, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.listeners, c)
	}
}

// publish never waits.
func (e *events) publish(batch []Report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.listeners {
		select {
		case c <- batch:
		default: // the browser connects again, and then gets all rows
			delete(e.listeners, c)
			close(c)
		}
	}
}
