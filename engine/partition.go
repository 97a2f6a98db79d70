package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// partition is what this process knows of one partition of the service.
type partition struct {
	number int
	floor  atomic.Uint64 // greatest token seen
	dead   atomic.Int64  // sessions past their deadline, as the last beat told
	due    atomic.Int64  // entries of later that are due, likewise
	agreed atomic.Uint64 // attempt of the agreement that what is read has to wait for

	unforwarded atomic.Int64 // how often in a row nothing could be copied here from other partitions

	backlog atomic.Pointer[measured] // as this process last looked; nil before

	stretched stretched
	rushed    atomic.Int64 // when all was to be renewed last since a window of maintenance had ended, on the clock's axis; 0: never
	needs     atomic.Int64 // until when leases are to be believed in, as the last window that opened asks for
	bunched   atomic.Int64 // when many leases were made due together last, since a notice asked for it
	holdOff   holdOff
	firm      atomic.Int64 // how long a TTL its sessions may rely on, while that is less than their own; 0: it is not

	mu struct {
		sync.Mutex
		session  *lease.Session // nil while there is none
		name     string         // under which the next session is being opened
		opened   chan struct{}  // closed when session is set, then made anew
		reopen   bool           // the group is gone: open again under the same name
		server   string         // id of the server that last answered a beat
		epoch    uint64         // how often the server was seen to change
		settling bool
		failing  error // why beats fail; nil while they do not
		failed   int   // beats in a row
		unread   error // why reading fails; nil while it does not
		read     readState
	}
}

// stretched is how far the longer TTLs reach that have gone out: no deadline of the partition lies beyond them, as
// Redis has it or as this process believes it. Each is on the clock's axis; 0: none has.
type stretched struct{ session, lease atomic.Int64 }

// readState is what is known of the reads that may still deliver to a session.
type readState struct {
	running string // consumer that a read runs for; empty: none
	until   int64  // when the last read with an unknown outcome can deliver nothing any more
	last    string // greatest entry ID that was read
	lost    bool   // a read had an unknown outcome: look at what is pending after since
	since   string // what last was before the first such read; later reads move last past what that one was given
	all     bool   // the server changed and may have forgotten that entries are done: look at all that is pending
	compare int64  // when to look at all that is pending without a reason

	compared int64 // when that was done last; 0: never
	attend   int64 // when to show again that the consumer is at work
	rest     int64 // no comparison and no showing before then: one failed
}

func newPartition(number int, name string) *partition {
	p := &partition{number: number}
	p.mu.name = name
	p.mu.opened = make(chan struct{})
	return p
}

// view is the session and the epoch, read at once. The session may be nil or past.
func (p *partition) view() (s *lease.Session, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.session, p.mu.epoch
}

// leave takes the session out, if it is this one: no further beat is sent for it, and its end is no loss. It reports
// whether it was there.
func (p *partition) leave(s *lease.Session) bool {
	p.mu.Lock()
	there := p.mu.session == s
	if there {
		p.mu.session = nil
	}
	p.mu.Unlock()
	s.End()
	return there
}

// await returns a session that lives, waiting for it; nil when ctx ends first.
func (p *partition) await(ctx context.Context) *lease.Session {
	for {
		p.mu.Lock()
		s, opened := p.mu.session, p.mu.opened
		p.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if s != nil && s.Remaining() > 0 {
			return s
		}
		// A session that is past is still in its place until the renewer has looked.
		timer := time.NewTimer(awaitAgain)
		select {
		case <-opened:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// awaitAgain is how long await waits at most between two looks.
const awaitAgain = 250 * time.Millisecond

// raise notes a token that was seen.
func (p *partition) raise(t api.Token) {
	for {
		old := p.floor.Load()
		if uint64(t) <= old || p.floor.CompareAndSwap(old, uint64(t)) {
			return
		}
	}
}

// wantOpen has the group and the consumer made again before anything else.
func (p *partition) wantOpen() {
	p.mu.Lock()
	p.mu.reopen = true
	p.mu.Unlock()
}

// beginRead notes that a read for consumer starts, which may deliver until then.
func (p *partition) beginRead(consumer string) {
	p.mu.Lock()
	p.mu.read.running = consumer
	p.mu.Unlock()
}

// endRead notes how a read ended; last is the greatest ID it gave, or empty. Unknown is one that may have delivered what
// did not arrive, and may go on to do so until then.
func (p *partition) endRead(last string, unknown bool, until int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.read.running = ""
	if unknown && !p.mu.read.lost {
		p.mu.read.since = p.mu.read.last
	}
	if last != "" {
		p.mu.read.last = last
	}
	if unknown {
		p.mu.read.until = until
		p.mu.read.lost = true
	}
}

// quiet says whether no read can deliver to consumer any more at now.
func (p *partition) quiet(consumer string, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.read.running != consumer && now >= p.mu.read.until
}

// raise makes at the later of two points.
func raise(at *atomic.Int64, to int64) {
	for {
		old := at.Load()
		if to <= old || at.CompareAndSwap(old, to) {
			return
		}
	}
}
