package engine

import "time"

// How a shutdown divides the drain timeout, which is all that it may take. A step that ends early leaves its time to those after it.
//
//	step                  may take
//	handlers              what the others leave
//	handing back          a quarter, up to 2 s, and 1 s for every 10,000 streams; at most half of the timeout
//	the last moments      a 20th, up to 1 s: Terminated, the user's hooks, goroutines, connections
//
// So with 20 s and 10,000 streams, handlers have 16 s.
const (
	handBackShare = 4
	// handBackMost allows for one call without an answer, and its retry.
	handBackMost = 2 * time.Second
	// handBackRate is what one process handed back a second to one server nearby, on a busy machine (bench size; an idle one did
	// 35,000). The server of a deploy has other things to do at that time.
	handBackRate      = 10_000
	handBackMostShare = 2
	lastShare         = 20
	lastMost          = time.Second
)

// drainPlan is when the steps of a shutdown end.
type drainPlan struct {
	timeout time.Duration
	end     time.Time
}

// last is what is kept for the last moments.
func (p drainPlan) last() time.Duration { return min(p.timeout/lastShare, lastMost) }

// reserve is what is kept for handing back that many streams.
func (p drainPlan) reserve(streams int) time.Duration {
	each := time.Second / handBackRate
	return min(min(p.timeout/handBackShare, handBackMost)+time.Duration(streams)*each, p.timeout/handBackMostShare)
}

// handBackUntil is when nothing more is handed back.
func (p drainPlan) handBackUntil() time.Time { return p.end.Add(-p.last()) }

// handlersUntil is when handlers are waited for no longer if that many streams are left to be handed back.
func (p drainPlan) handlersUntil(streams int) time.Time {
	return p.handBackUntil().Add(-p.reserve(streams))
}
