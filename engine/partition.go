package engine

import (
	"cmp"
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

	forwardFailures atomic.Int64 // how often in a row nothing could be copied here from other partitions

	stretched stretched
	holdOff   holdOff

	// On the clock's axis; 0: never.
	revalidatedAt atomic.Int64 // when everything was last made due because a maintenance window had ended
	neededUntil   atomic.Int64 // until when leases have to be believed in, as the last window that opened requires
	bunchedAt     atomic.Int64 // when many leases were last made due together because of a notice

	firm atomic.Int64 // how long a TTL its sessions may rely on, while that is less than their own; 0: it is not

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

// stretched is how far the longer TTLs reach that were sent: no deadline of the partition lies beyond, neither in Redis nor as
// this process believes it. Each is on the clock's axis; 0: none was sent.
type stretched struct{ session, lease atomic.Int64 }

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
func (p *partition) raise(t api.Token) { raise(&p.floor, uint64(t)) }

// wantOpen has the group and the consumer made again before anything else.
func (p *partition) wantOpen() {
	p.mu.Lock()
	p.mu.reopen = true
	p.mu.Unlock()
}

// raise sets at to the greater of its value and to.
func raise[T cmp.Ordered](at interface {
	Load() T
	CompareAndSwap(old, new T) bool
}, to T) {
	for {
		old := at.Load()
		if to <= old || at.CompareAndSwap(old, to) {
			return
		}
	}
}
