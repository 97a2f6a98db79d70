package reading

import (
	"sync"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
)

// lane is what belongs to one master: its queue, and the goroutines that read from it. A master that hangs keeps its own goroutines
// busy, and holds up no stream of another master. All of it is guarded by Reader.mu.
type lane struct {
	addr    string
	members int
	hot     fifo // rung, or with more to read
	cold    fifo // to be armed, swept, or rung for nothing again and again
	looks   glances

	batches  int   // in flight
	failures int   // batches in a row that did not reach the master
	paused   int64 // nothing is read before that
	paced    int64 // the next read for a ring that probably brings nothing begins at that time

	work  *sync.Cond // on Reader.mu
	glare *sync.Cond // the same for the goroutine that looks
	ended bool
}

// glance is a stream that is to be looked at, since a read brought nothing.
type glance struct {
	h     *stream
	after string
	epoch uint64
}

const (
	// pacedGap is the least time between two reads of a lane for rings that probably bring nothing. With a tracking table that is too
	// small each such read takes the ring from another stream, which is then read, and so on: 2,000 a second cost a server less
	// than 1 % of a core.
	pacedGap = int64(time.Second) / 2000
	// pacedStep has them begin together: alone, each costs a server several times as much.
	pacedStep = int64(10 * time.Millisecond)
	// barrenAt is how many rings in a row bring nothing before further ones are answered later.
	barrenAt = 2
	// minDelay and maxDelay are for rings that brought nothing, and for reads that failed.
	minDelay = 10 * time.Millisecond
	maxDelay = time.Second
)

var (
	barrenDelays  = backoff.Exponential{First: minDelay, Max: maxDelay}
	failureDelays = backoff.Exponential{First: minDelay, Max: maxDelay, Jitter: 0.5}
)

// barrenDelay is how long the answer to a ring waits after that many that brought nothing: 10 ms, 20 ms, … 1 s.
func barrenDelay(barren uint8) int64 {
	if barren < barrenAt {
		return 0
	}
	return int64(barrenDelays.Delay(int(barren-barrenAt)+1, 0))
}

// fifo is a queue of streams, linked through them. A stream that was removed stays until its turn comes.
type fifo struct {
	head, tail *stream
	n          int
}

func (q *fifo) push(h *stream) {
	if q.tail == nil {
		q.head = h
	} else {
		q.tail.next = h
	}
	q.tail = h
	q.n++
}

// unpop puts a stream back to where it was.
func (q *fifo) unpop(h *stream) {
	h.next = q.head
	q.head = h
	if q.tail == nil {
		q.tail = h
	}
	q.n++
}

func (q *fifo) pop() *stream {
	h := q.head
	if h == nil {
		return nil
	}
	if q.head = h.next; q.head == nil {
		q.tail = nil
	}
	h.next = nil
	q.n--
	return h
}

// glances are what waits to be looked at, in order.
type glances struct {
	list  []glance
	taken int // at the beginning of list
}

func (g *glances) len() int { return len(g.list) - g.taken }

func (g *glances) push(one glance) { g.list = append(g.list, one) }

// pop appends the first, at most a number of them, to a slice.
func (g *glances) pop(most int, to []glance) []glance {
	next := g.list[g.taken:min(g.taken+most, len(g.list))]
	to = append(to, next...)
	clear(next)
	if g.taken += len(next); g.taken == len(g.list) {
		*g = glances{} // there are 100,000 after a start, and few afterwards
	}
	return to
}

// ready reports whether the lane has something to read now.
func (l *lane) ready(now int64) bool {
	if now < l.paused || l.failures > 0 && l.batches > 0 {
		return false
	}
	return l.hot.n > 0 || l.cold.n > 0
}

// pop returns the next stream of the lane, three of four from the hot queue if both have some. nth counts those of one batch.
func (l *lane) pop(nth int) *stream {
	if l.hot.n > 0 && (nth%4 != 3 || l.cold.n == 0) {
		return l.hot.pop()
	}
	return l.cold.pop()
}
