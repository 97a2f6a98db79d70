package waitlist

import (
	"container/heap"
	"math"
	"slices"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// Due is what TakeDue took out of a partition's heap.
type Due struct {
	Ask   []Asked   // in one call. Each is given back by Settle, or all of them by Unanswered
	Leave []Leaving // to be requeued. Each is given back by Moved
	Next  int64     // when there is something to look at; Never, or a time that may be past
}

// Never is later than any time.
const Never = math.MaxInt64

// Asked is a stream whose first entry is asked for.
type Asked struct {
	Session *lease.Session
	Entry   *lease.Entry
	parked  *parked
}

// Leaving is a stream of which nothing is asked for here any more.
type Leaving struct {
	Session *lease.Session
	Entries []*lease.Entry
	// Handed is how often the stream has been handed on, this time included, since a handler of it has been in its way; 0: there
	// is no room for another stream.
	Handed int
	parked *parked
}

// TakeDue takes what is due of a partition: at most so many streams to ask for, and no more than there is room for. Those that
// are held here or have a handler running go on waiting. Those that a handler has kept waiting for too long, and those for
// which there is no room, are to be requeued.
func (l *List) TakeDue(now int64, partition, most, room int) (due Due) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.after[partition] > now {
		due.Next = l.mu.after[partition] // woken by another stream while Redis does not answer
		return due
	}
	h := &l.mu.due[partition]
	weight := 0
	for len(*h) > 0 && (*h)[0].due <= now && len(due.Ask) < most {
		more := l.cfg.Weight((*h)[0].entries[0])
		if len(due.Ask) > 0 && weight+more > lease.MaxCallWeight {
			break
		}
		r := heap.Pop(h).(*parked)
		switch {
		case r.session.Remaining() == 0:
			l.removeLocked(r) // it goes back with its session
		case l.cfg.Held(r.stream):
			r.startOver(now)
			l.queueLocked(r, now+int64(MaxDelay))
		case l.cfg.Busy(r.stream):
			l.behindHandlerLocked(now, r, &due)
		case len(due.Ask) >= room:
			// Somebody else may have it, or this process later.
			due.leave(r, 0)
		default:
			r.taken, r.nudged = 1, false
			due.Ask = append(due.Ask, Asked{Session: r.session, Entry: r.entries[0], parked: r})
			weight += more
		}
	}
	due.Next = Never
	if len(*h) > 0 {
		due.Next = (*h)[0].due
	}
	return due
}

// behindHandlerLocked deals with a stream that this process does not own while a handler of it still runs. If that goes on for
// longer than a lease lasts, others get the stream. Who reads it then is a matter of luck: what comes back here is handed on at
// once, with growing delays, since there may be nobody else.
func (l *List) behindHandlerLocked(now int64, r *parked, due *Due) {
	handed, patience := l.mu.handed[r.stream], int64(l.cfg.LeaseTTL)
	if handed == 0 && now-r.since <= patience {
		l.queueLocked(r, min(now+int64(MaxDelay), r.since+patience+1))
		return
	}
	l.mu.handed[r.stream] = handed + 1
	due.leave(r, handed+1)
}

// leave has all entries of a stream requeued that is out of the heap.
func (d *Due) leave(r *parked, handed int) {
	n := len(r.entries)
	r.taken = n
	d.Leave = append(d.Leave, Leaving{Session: r.session, Entries: r.entries[:n:n], Handed: handed, parked: r})
}

// Moved must be called when what was leaving has its next place. What was parked behind it meanwhile starts over, and is looked at at
// once.
func (l *List) Moved(now int64, x Leaving) (wake bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := x.parked
	if l.mu.streams[r.stream] != r {
		return false // dropped meanwhile, with its session
	}
	if len(r.entries) == r.taken {
		l.removeLocked(r)
		return false
	}
	l.countLocked(-1, r.entries[:r.taken]...)
	r.entries = slices.Clone(r.entries[r.taken:]) // Leaving has the others
	r.taken, r.pinned, r.changed = 0, false, false
	r.startOver(now)
	return l.queueLocked(r, now)
}

// Settled is what became of an entry that was asked for.
type Settled struct {
	Left    bool // it has left the list, and its stream may go on; else it stays, or was dropped meanwhile with its session
	Waiting bool // other entries of its stream are parked
}

// Settle puts a stream back after its first entry was asked for, or goes on to its next entry. A verdict that names a holder, or that
// Redis refuses the entry, leaves it here; any other one takes it out. random, in [0, 1), shortens the delay. TakeDue is to be called
// again when all that were asked for are settled.
func (l *List) Settle(now int64, a Asked, take lease.Take, random float64) (s Settled) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := a.parked
	if l.mu.streams[r.stream] != r {
		return s
	}
	r.entries = slices.Delete(r.entries, 0, 1)
	nudged := r.nudged
	r.taken, r.nudged, r.pinned = 0, false, false
	if take.Verdict == lease.HeldByOne || take.Verdict == lease.Refused {
		r.insert(a.Entry)
	} else {
		s.Left = true
		l.countLocked(-1, a.Entry)
		r.asked, r.holder, r.changed = 0, "", false
	}
	s.Waiting = len(r.entries) > 0
	switch {
	case !s.Waiting:
		delete(l.mu.streams, r.stream)
	case take.Verdict == lease.Acquired:
		r.since = now
		l.queueLocked(r, now+int64(MaxDelay))
	case s.Left || nudged:
		l.queueLocked(r, now)
	default:
		r.answered(take)
		l.queueLocked(r, now+int64(l.wait(r, take, random)))
	}
	return s
}

// Answered notes that a partition's call was answered.
func (l *List) Answered(partition int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.after[partition] = 0
}

// Unanswered puts streams back whose first entries had no answer. Nothing of the partition is asked for before wait has passed. A
// stream that was asked for alone and is to blame makes way for others, for longer each time.
func (l *List) Unanswered(now int64, partition int, asked []Asked, wait time.Duration, blame bool) {
	at := now + int64(wait)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.after[partition] = at
	for _, a := range asked {
		r := a.parked
		if l.mu.streams[r.stream] != r {
			continue
		}
		due := at
		if blame {
			r.asked++
			due = max(at, now+int64(unansweredOne.Delay(r.asked, 0)))
		}
		r.taken, r.nudged, r.pinned = 0, false, true
		l.queueLocked(r, due)
	}
}
