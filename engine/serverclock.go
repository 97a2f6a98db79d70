package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/lease"
)

const (
	// clockSamples is how many answers a serverClock remembers: with a beat a second, those of eight seconds, in which the clocks of two
	// machines drift apart by less than a millisecond.
	clockSamples = 8

	// clockStep is how much more than its round trip an answer must be off before what was answered earlier counts no more.
	clockStep = int64(100 * time.Millisecond)
)

// serverClock estimates how far the clock of a partition's server is ahead of the clock of the engine. The zero value knows nothing; it is
// safe for concurrent use, and reading takes no lock.
type serverClock struct {
	known    atomic.Bool
	estimate atomic.Int64 // ns by which the server is ahead; set before known is

	mu struct {
		sync.Mutex
		server  string // that has answered the samples
		samples []clockSample
	}
}

// clockSample is one answer with the server's time, ns since the epoch, and when the call was sent and answered on the clock's axis.
type clockSample struct{ sent, received, server int64 }

func (x clockSample) trip() int64 { return x.received - x.sent }

// ahead is by how much the server is ahead, if it read its clock in the middle of the round trip. It is off by half of that at most.
func (x clockSample) ahead() int64 { return x.server - x.sent - x.trip()/2 }

// ahead returns the estimate.
func (c *serverClock) ahead() (ns int64, known bool) {
	if !c.known.Load() {
		return 0, false
	}
	return c.estimate.Load(), true
}

// answered takes in the answer to a beat. Of several answers to one pipeline the first must come first: it has waited least here.
func (c *serverClock) answered(b lease.Beat, sent, received int64) {
	if b.Time > 0 {
		c.add(b.Server, clockSample{sent: sent, received: received, server: b.Time * int64(time.Microsecond)})
	}
}

// add takes in a sample. One that was sent no later than another that is here already says nothing new, and may be from before a
// step that the other has shown.
func (c *serverClock) add(server string, x clockSample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.mu.samples
	switch {
	case len(all) > 0 && x.sent <= all[len(all)-1].sent:
		return
	case server != c.mu.server, len(all) > 0 && max(x.ahead()-c.estimate.Load(), c.estimate.Load()-x.ahead()) > x.trip()+clockStep:
		all = all[:0]
	case len(all) == clockSamples:
		all = slices.Delete(all, 0, 1)
	}
	c.mu.server, c.mu.samples = server, append(all, x)
	best := x
	for _, y := range all {
		if y.trip() < best.trip() {
			best = y
		}
	}
	c.estimate.Store(best.ahead())
	c.known.Store(true)
}
