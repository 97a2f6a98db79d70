package journal

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/streamlease/streamlease/api"
)

// Page is one ownership. Its fields are read and written atomically, by several processes.
type Page struct {
	stream uint64 // number + 1; 0: not written yet. It is written last
	token  uint64
	work   uint64
	from   int64 // on the clock Monotonic
	until  int64
	state  int64
}

const pageSize = int(unsafe.Sizeof(Page{}))

// State is how an ownership ended, by the account of its owner.
type State int64

// States of a page.
const (
	Owned    State = iota
	Ending         // Done was called; what came of it is not known
	Finished       // Done succeeded
	Given          // ended otherwise
	Failed         // Fail was called
)

// String is the word for it.
func (s State) String() string {
	words := [...]string{"owned", "ending", "finished", "given", "failed"}
	if s < 0 || int(s) >= len(words) {
		return fmt.Sprintf("State(%d)", int64(s))
	}
	return words[s]
}

// Is notes the state.
func (p *Page) Is(s State) { atomic.StoreInt64(&p.state, int64(s)) }

// Turn notes the state if it was another one until now, and reports whether it was.
func (p *Page) Turn(from, to State) bool {
	return atomic.CompareAndSwapInt64(&p.state, int64(from), int64(to))
}

// Extend notes that an ownership lasts, and reports whether it does; call it right before ending one. The moment noted
// is the one before the question.
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
