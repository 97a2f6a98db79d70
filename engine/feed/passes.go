package feed

import (
	"sync"

	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// passes are the last IDs of the few streams that had more than was read when they were to be left. See stream.passLocked.
type passes struct {
	sync.Mutex
	to map[*stream]position.ID
}

func (p *passes) set(s *stream, to position.ID) {
	p.Lock()
	defer p.Unlock()
	if p.to == nil {
		p.to = make(map[*stream]position.ID)
	}
	p.to[s] = to
}

func (p *passes) take(s *stream) (to position.ID, ok bool) {
	p.Lock()
	defer p.Unlock()
	to, ok = p.to[s]
	delete(p.to, s)
	return to, ok
}
