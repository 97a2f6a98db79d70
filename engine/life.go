package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/streamlease/streamlease/api"
)

// errStopped ends a start that was asked to stop.
var errStopped = errors.New("stopped while starting")

// life is the stage that an engine is in. It only goes forward: new, running, draining, ended.
type life struct {
	drain      context.Context // ends when the engine has to drain
	beginDrain context.CancelFunc
	hurry      context.Context // ends when the engine has to stop at once
	beginHurry context.CancelFunc
	ended      chan struct{} // closed when the engine has ended
	err        error         // how it ended; set before ended is closed

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

// begin claims the one start that an engine has. Its errors are api.ErrStarted and api.ErrClosed.
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

// setRunning records whether the engine runs: from the end of its start to the end of its drain.
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
