package engine

import (
	"context"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
)

// lastWord is how much time there is for everything once the engine has to stop at once.
const lastWord = 100 * time.Millisecond

// life is the stage that an engine is in. It only goes forward: new, running, draining, ended. It also keeps the time that a
// shutdown has: see drainPlan.
type life struct {
	timeout time.Duration // the drain timeout

	drain      context.Context // ends when the engine has to drain
	hurry      context.Context // ends when the engine has to stop at once
	beginHurry context.CancelFunc
	over       context.Context // ends when Run has to return, whatever hangs
	ended      chan struct{}   // closed when the engine has ended
	err        error           // how it ended; set before ended is closed

	stopAll context.CancelFunc // ends drain, without the clock of a shutdown
	overNow context.CancelFunc

	mu struct {
		sync.Mutex
		started, closed, running bool
		until                    time.Time // when over ends; zero: no shutdown has begun
		timer                    *time.Timer
	}
}

func (l *life) init(timeout time.Duration) {
	l.timeout = timeout
	l.drain, l.stopAll = context.WithCancel(context.Background())
	l.hurry, l.beginHurry = context.WithCancel(context.Background())
	l.over, l.overNow = context.WithCancel(context.Background())
	l.ended = make(chan struct{})
	context.AfterFunc(l.hurry, func() { l.endBy(time.Now().Add(lastWord)) })
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

// beginDrain begins the shutdown, whose time counts from the first call.
func (l *life) beginDrain() {
	l.mu.Lock()
	first := l.mu.until.IsZero()
	l.mu.Unlock()
	if first {
		l.endBy(time.Now().Add(l.timeout))
	}
	l.stopAll()
}

// endBy has over end at a time, or at the one before if that is earlier.
func (l *life) endBy(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mu.until.IsZero() && !at.Before(l.mu.until) {
		return
	}
	l.mu.until = at
	if l.mu.timer != nil {
		l.mu.timer.Stop()
	}
	l.mu.timer = time.AfterFunc(time.Until(at), l.overNow)
}

// until returns when over ends.
func (l *life) until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.until
}

// share returns a context for a step of the end: it ends when a share of the time that is left has passed, or when the engine has to
// stop at once. If it has to already, what is left is short, and the share is one of that.
func (l *life) share(of float64) (context.Context, context.CancelFunc) {
	parent := l.hurry
	if parent.Err() != nil {
		parent = l.over
	}
	return context.WithTimeout(parent, time.Duration(of*float64(time.Until(l.until()))))
}

// close records how the engine ended, and wakes all who wait for that.
func (l *life) close(err error) {
	l.setRunning(false)
	l.mu.Lock()
	if l.mu.timer != nil {
		l.mu.timer.Stop()
	}
	l.mu.Unlock()
	l.overNow()
	l.err = err
	close(l.ended)
}

// unlessShutDown calls f and waits for it. Once a shutdown has begun it waits for half of the time that is left. It reports whether f
// has returned; if not, f goes on by itself.
func (l *life) unlessShutDown(f func()) bool {
	returned := async(f)
	if await(l.drain, returned) {
		return true
	}
	ctx, cancel := l.share(.5)
	defer cancel()
	return await(ctx, returned)
}

// within calls f and waits for it until ctx ends. It reports whether f has returned; if not, f goes on by itself.
func within(ctx context.Context, f func()) bool { return await(ctx, async(f)) }

// async calls each function on a goroutine of its own, and returns a channel that is closed when all have returned.
func async(all ...func()) <-chan struct{} {
	returned := make(chan struct{})
	var group sync.WaitGroup
	for _, f := range all {
		group.Go(f)
	}
	go func() {
		group.Wait()
		close(returned)
	}()
	return returned
}

// await waits until a channel is closed, and reports whether it was; false if ctx ends first.
func await(ctx context.Context, closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	case <-ctx.Done():
	}
	select {
	case <-closed:
		return true
	default:
		return false
	}
}
