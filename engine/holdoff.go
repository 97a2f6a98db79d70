package engine

import (
	"sync"
	"time"
)

// holdOffWindows is how long maintenance windows may hold off recovery in total, as a multiple of notice.Config.MaxWindow: 60 s
// with the default. After that, recovery goes on despite any window, until there has been none for as long again.
//
// The hold-off is a convenience: no guarantee depends on it. A process that knows of a window moves its session's deadline on the
// server by the window's length with its first beat after the notice, and a session is dead only when the server's deadline has
// passed. So a process that could lengthen its session is not recovered, with or without a window, and neither is one in a
// partition that settles. Those recovered too early are processes that did not hear of the window, or could no longer reach the
// server when it opened, and that come back before it ends. They have lost their session by the server's clock, and disowned its
// streams by their own before that, and others get the streams; with the hold-off the streams would have stayed where they
// were. If recovery were held off forever, on the other hand, nobody would own what the dead left.
const holdOffWindows = 2

// holdOff tracks for how long windows have held off recovery in a partition.
type holdOff struct {
	mu struct {
		sync.Mutex
		since int64 // when the first window was seen after a long enough time without any
		last  int64 // when a window was last seen open
	}
}

// holds reports whether recovery waits at now, given whether a window is open. most is the limit in total.
func (h *holdOff) holds(now int64, open bool, most time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !open {
		return false
	}
	if h.mu.since == 0 || now >= h.mu.last+int64(most) {
		h.mu.since = now
	}
	h.mu.last = now
	return now < h.mu.since+int64(most)
}
