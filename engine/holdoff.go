package engine

import (
	"sync"
	"time"
)

// holdOffWindows is how long windows of maintenance may hold recovery off in all, in times of notice.Config.MaxWindow: 60 s with
// the default. Until there has been no window for as long again, recovery goes on in spite of any.
//
// Nothing rests on the hold-off but convenience. Whoever has a window open has its session's deadline on the server moved by its
// length with the first beat after the notice, and a session is dead only past the deadline that the server has: who could
// lengthen it is not recovered, window or not, and who settles is not either. Recovered too early is only who did not hear of
// the window, or could not reach the server any more when it opened, and comes back before it ends: he has lost his session by
// the server's clock and disowned its streams by his own before (G1), and they go to others; with the hold-off they would have
// stayed where they were. Held off for ever, on the other hand, what the dead have left is owned by nobody.
const holdOffWindows = 2

// holdOff is for how long windows have held off recovery in a partition.
type holdOff struct {
	mu struct {
		sync.Mutex
		since int64 // the first window after a long enough time without
		last  int64 // when one was last seen open
	}
}

// holds reports whether recovery waits at now; open is whether a window is.
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
