package schedule

import "sync"

// inbox is what the loop is to do next. Putting something in never waits, so that nobody who has something to say, the engine's renewal
// least of all, waits for the loop.
type inbox struct {
	ready chan struct{} // has an element when there is something

	mu struct {
		sync.Mutex
		todo []func()
	}
}

// keepRoom is for how many an empty inbox keeps its memory.
const keepRoom = 4096

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// put has the loop call f.
func (b *inbox) put(f func()) {
	b.mu.Lock()
	b.mu.todo = append(b.mu.todo, f)
	first := len(b.mu.todo) == 1
	b.mu.Unlock()
	if !first {
		return
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns what is to be done, in order, and has the inbox go on with an empty slice, whose memory it may use.
func (b *inbox) take(spare []func()) []func() {
	clear(spare)
	if cap(spare) > keepRoom {
		spare = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	todo := b.mu.todo
	b.mu.todo = spare[:0]
	return todo
}
