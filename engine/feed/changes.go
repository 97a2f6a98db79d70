package feed

import (
	"sync/atomic"
	"time"
)

// changeLasts is how long after a change of server a stream that ends before its position is taken for one whose end was
// forgotten. Everything is read again at once after a change, so this is plenty.
const changeLasts = 2 * time.Minute

// changes knows when a server last changed.
type changes struct {
	clock
	at atomic.Int64 // in ns since the epoch; 0: not since the start
}

func (c *changes) note() { c.at.Store(int64(max(c.now(), 1))) }

// lately reports whether a server has changed so recently that its streams may lack their ends.
func (c *changes) lately() bool {
	at := time.Duration(c.at.Load())
	return at > 0 && c.now()-at < changeLasts
}
