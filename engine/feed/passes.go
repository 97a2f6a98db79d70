package feed

import (
	"sync"

	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// passes are the last IDs of the few streams that had more than was read when they were to be left. See stream.passLocked.
type passes[S comparable] struct {
	sync.Mutex
	to map[S]position.ID
}

func (p *passes[S]) set(s S, to position.ID) {
	p.Lock()
	defer p.Unlock()
	if p.to == nil {
		p.to = make(map[S]position.ID)
	}
	p.to[s] = to
}

func (p *passes[S]) take(s S) (to position.ID, ok bool) {
	p.Lock()
	defer p.Unlock()
	to, ok = p.to[s]
	delete(p.to, s)
	return to, ok
}
