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

// partition is what this process knows about one partition of the service: its session, and what the parts of the engine share
// about it.
type partition struct {
	number int
	floor  atomic.Uint64 // greatest token seen
	dead   atomic.Int64  // sessions past their deadline, as the last beat reported
	due    atomic.Int64  // entries of later that are due, likewise
	agreed atomic.Uint64 // ticket of the agreement: nothing is read before that attempt has ended

	roomlessSince   atomic.Int64 // since when its reader has had no room for a stream, on the clock's axis; 0: it has
	forwardFailures atomic.Int64 // failures in a row to copy anything here from other partitions

	stretched   stretched
	holdOff     holdOff
	serverClock serverClock

	// Times on the clock's axis; 0: never.
	revalidatedAt atomic.Int64 // when everything was last made due because a maintenance window had ended
	neededUntil   atomic.Int64 // until when leases must be believed in, as required by the last window that opened
	bunchedAt     atomic.Int64 // when many leases were last made due together because of a notice

	firm atomic.Int64 // the longest TTL that its sessions may rely on, while that is shorter than their own; 0: it is not

	mu struct {
		sync.Mutex
		session  *lease.Session // nil while there is none
		name     string         // consumer name of the next session
		opened   chan struct{}  // closed when session is set, and replaced by a new one
		reopen   bool           // the group is gone: open again under the same name
		server   string         // ID of the server that answered the last beat
		epoch    uint64         // how often the server was seen to change
		settling bool
		failing  error // why beats fail; nil while they do not
		failed   int   // beats that failed in a row
		counted  int   // those of them that no announced outage excuses
		unread   error // why reading fails; nil while it does not, or an announced outage excuses it
		read     readState
		// What events have reported since beats succeeded.
		toldUnreachable, toldRefused bool
	}
}

// stretched is when the longer TTLs that were sent run out: no deadline of the partition is later, neither in Redis nor as this
// process believes it. Both times are on the clock's axis; 0: none was sent.
type stretched struct{ session, lease atomic.Int64 }

// isSettling reports whether the partition settles, or has no session.
func (p *partition) isSettling() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.settling || p.mu.session == nil
}

func newPartition(number int, name string) *partition {
	p := &partition{number: number}
	p.mu.name = name
	p.mu.opened = make(chan struct{})
	return p
}

// view returns the session and the epoch, read together. The session may be nil, or past its deadline. The epoch must be read
// before each call: an answer says nothing about leases if the epoch has changed since.
func (p *partition) view() (s *lease.Session, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.session, p.mu.epoch
}

// leave takes session s out of the partition and ends it: no further beat is sent for it, and its end does not count as a loss. It
// reports whether s was the partition's session. A beat that is on its way may still make the session again on the server,
// so whoever closes it waits for that in between (see beats.waitIdle): leave, wait, close, in this order.
func (p *partition) leave(s *lease.Session) bool {
	p.mu.Lock()
	current := p.mu.session == s
	if current {
		p.mu.session = nil
	}
	p.mu.Unlock()
	s.End()
	return current
}

// awaitSession waits for a live session and returns it; nil if ctx ends first.
func (p *partition) awaitSession(ctx context.Context) *lease.Session {
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
		// A session that is past its deadline stays in its place until the renewer's next look.
		timer := time.NewTimer(pollInterval)
		select {
		case <-opened:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pollInterval is the longest time between two checks while waiting for a session or a breaker.
const pollInterval = 250 * time.Millisecond

// raiseFloor notes that a token was seen.
func (p *partition) raiseFloor(t api.Token) { storeMax(&p.floor, uint64(t)) }

// noteRead notes how reading went. A failure that an announced outage excuses changes nothing.
func (p *partition) noteRead(err error, excused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || !excused {
		p.mu.unread = err
	}
}

// requestReopen asks for the group and the consumer to be recreated before anything else is done.
func (p *partition) requestReopen() {
	p.mu.Lock()
	p.mu.reopen = true
	p.mu.Unlock()
}

// storeMax sets an atomic value to v, unless it is greater already.
func storeMax[T cmp.Ordered](to interface {
	Load() T
	CompareAndSwap(old, new T) bool
}, v T) {
	for {
		old := to.Load()
		if v <= old || to.CompareAndSwap(old, v) {
			return
		}
	}
}
