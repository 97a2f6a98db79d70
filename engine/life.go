package engine

import (
	"context"
	"sync"

	"github.com/streamlease/streamlease/api"
)

// life is how far an engine has come. It only goes forward: new, running, draining, ended.
type life struct {
	drain      context.Context // ends when it is to drain
	beginDrain context.CancelFunc
	hurry      context.Context // ends when it is to end now
	beginHurry context.CancelFunc
	ended      chan struct{} // closed when it has ended
	err        error         // how; set before ended is closed

	mu struct {
		sync.Mutex
		started, closed, running bool
	}
}

func (l *life) init() {
	l.drain, l.beginDrain = context.WithCancel(context.Background())
	l.hurry, l.beginHurry = context.WithCancel(context.Background())
	l.ended = make(chan struct{})
}

// begin claims the one start that an engine has.
func (l *life) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.mu.closed:
		return api.ErrClosed
	case l.mu.started:
		return api.ErrStarted
	}
	l.mu.started = true
	return nil
}

func (l *life) setRunning(on bool) {
	l.mu.Lock()
	l.mu.running = on
	l.mu.Unlock()
}

func (l *life) isRunning() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.running
}
