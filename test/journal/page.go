package journal

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/streamlease/streamlease/api"
)

// Page is one ownership. Several processes access its fields, atomically.
type Page struct {
	stream uint64 // number + 1; 0: not written yet. Written last
	token  uint64
	work   uint64
	from   int64 // on the clock of Monotonic
	until  int64
	state  int64
}

const pageSize = int(unsafe.Sizeof(Page{}))

// State is how an ownership ended, as its owner saw it.
type State int64

// States of a page.
const (
	Owned    State = iota
	Ending         // Done was called; its outcome is unknown
	Finished       // Done succeeded
	Given          // ended otherwise
	Failed         // Fail was called
)

// String returns the state in lower case.
func (s State) String() string {
	words := [...]string{"owned", "ending", "finished", "given", "failed"}
	if s < 0 || int(s) >= len(words) {
		return fmt.Sprintf("State(%d)", int64(s))
	}
	return words[s]
}

// Is sets the state.
func (p *Page) Is(s State) { atomic.StoreInt64(&p.state, int64(s)) }

// Turn changes the state from one to another, and reports whether it was the first one.
func (p *Page) Turn(from, to State) bool {
	return atomic.CompareAndSwapInt64(&p.state, int64(from), int64(to))
}

// Extend notes that an ownership lasts, and reports whether it does. Call it right before ending one. The moment noted is
// the one just before the question.
func (p *Page) Extend(l api.Lease) bool {
	at := int64(Monotonic())
	if l.Remaining() <= 0 {
		return false
	}
	for {
		old := atomic.LoadInt64(&p.until)
		if old >= at || atomic.CompareAndSwapInt64(&p.until, old, at) {
			return true
		}
	}
}
