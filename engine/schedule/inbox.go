package schedule

import (
	"sync"
	"sync/atomic"
)

// inbox is what the loop is to do next. Putting something in never waits, so that nobody who has something to say, the engine's renewal
// least of all, waits for the loop.
type inbox struct {
	ready chan struct{} // has an element when there is something for which the loop is to wake up
	clock func() int64  // the loop's
	wakes atomic.Int64  // when it wakes up by itself; 0: it is at work

	mu struct {
		sync.Mutex
		todo []message
	}
}

// message is what the loop takes in: a tick that is over, or else a call. Each tick is a message, and as such allocates nothing more.
type message struct {
	over *job
	call func()
}

// keepRoom is for how many an empty inbox keeps its memory.
const keepRoom = 4096

// soon is how long a tick that is over may wait for the loop to wake up for another reason: to wake it up for each would cost more than all
// the rest. It is what ticks are late anyway.
const soon = int64(wheelTick)

func newInbox(clock func() int64) *inbox { return &inbox{ready: make(chan struct{}, 1), clock: clock} }

// put has the loop call f.
func (b *inbox) put(f func()) {
	b.add(message{call: f})
	b.wake()
}

// over has the loop take in soon that a tick is over.
func (b *inbox) over(j *job) {
	b.add(message{over: j})
	if at := b.wakes.Load(); at == 0 || at-b.clock() > soon {
		b.wake()
	}
}

func (b *inbox) add(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.todo = append(b.mu.todo, m)
}

// sleeps says that the loop is about to sleep until a time on its clock.
func (b *inbox) sleeps(until int64) { b.wakes.Store(until) }

func (b *inbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns what is to be done, in order, and has the inbox go on with an empty slice, whose memory it may use.
func (b *inbox) take(spare []message) []message {
	clear(spare)
	if cap(spare) > keepRoom {
		spare = nil
	}
	b.wakes.Store(0) // first: who adds something from here on wakes the loop up again
	b.mu.Lock()
	defer b.mu.Unlock()
	todo := b.mu.todo
	b.mu.todo = spare[:0]
	return todo
}
