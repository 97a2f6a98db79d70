package waitlist

import (
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// Config is what a List is made with. Held, Busy and Weight are called with the list's mutex held: they must not call the list, and
// take no other mutex than that of the table (Held) or of the dispatcher (Busy).
type Config struct {
	Partitions int
	MaxEntries int           // parked, those being asked for included
	MaxBytes   int           // of those, as [lease.Entry.Held] counts them; a single entry may have more
	LeaseTTL   time.Duration // for how long a handler of a stream that is not held here may be in its way

	Held   func(stream string) bool     // reports whether this process holds the lease of a stream
	Busy   func(stream string) bool     // reports whether a notification of a stream waits or runs here
	Weight func(x *lease.Entry) (n int) // of an entry in a call that asks for it; of several at most lease.MaxCallWeight
}

// List is the parked entries of an engine, by stream. All methods may be called from any goroutine; none blocks.
type List struct {
	cfg Config

	mu struct {
		sync.Mutex
		streams map[string]*parked
		due     []dueHeap      // by partition
		count   int            // entries, those taken included
		bytes   int            // what those hold
		after   []int64        // nothing is asked before then, by partition: the last call had no answer
		handed  map[string]int // how often a stream was handed on since a handler of it has been in its way
	}
}

// parked is the entries of one stream. The first is asked for; the others are in the order of their IDs.
type parked struct {
	stream  string
	session *lease.Session
	entries []*lease.Entry
	taken   int    // how many of the first entries TakeDue has given out
	due     int64  // when the first is asked for
	place   int    // in the heap; notQueued while entries are taken
	asked   int    // questions in a row that were answered, or failed alone; the delay grows with it
	holder  string // as of the last answer; empty: not known, or this process
	changed bool   // the holder was seen to change
	nudged  bool   // while the first was asked for
	pinned  bool   // the first was asked for without an answer: it keeps its place
	since   int64  // from when on a handler of the stream may be in its way: the stream is not held here
}

// New returns an empty list.
func New(cfg Config) *List {
	l := &List{cfg: cfg}
	l.mu.handed = make(map[string]int)
	l.mu.after = make([]int64, cfg.Partitions)
	l.resetLocked()
	return l
}

func (l *List) resetLocked() {
	l.mu.streams = make(map[string]*parked)
	l.mu.due = make([]dueHeap, l.cfg.Partitions)
	l.mu.count, l.mu.bytes = 0, 0
}

// Size returns the number of parked entries, and what they hold in bytes.
func (l *List) Size() (entries, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.count, l.mu.bytes
}

// Counts returns the number of parked entries of each partition.
func (l *List) Counts() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int, l.cfg.Partitions)
	for _, r := range l.mu.streams {
		out[r.session.Partition()] += len(r.entries)
	}
	return out
}

// Has reports whether entries of a stream are parked.
func (l *List) Has(stream string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.streams[stream] != nil
}

// HasEntry reports whether this very entry is parked.
func (l *List) HasEntry(stream, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.mu.streams[stream]
	return r != nil && r.index(id) >= 0
}

func (r *parked) index(id string) int {
	return slices.IndexFunc(r.entries, func(x *lease.Entry) bool { return x.ID == id })
}

// Of returns the entries that are parked for a session.
func (l *List) Of(s *lease.Session) (out []*lease.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.mu.streams {
		if r.session == s {
			out = append(out, r.entries...)
		}
	}
	return out
}

// Park takes an entry in. take is the answer that named the holder; the zero Take means this process. random, in [0, 1), shortens
// the delay. It reports false for parked when the list is full: the entry must go elsewhere. wake is as the package says.
func (l *List) Park(now int64, s *lease.Session, x *lease.Entry, take lease.Take, random float64) (parked, wake bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Remaining() == 0 {
		// A session ends before Drop is called for it, so nothing of one that is over is ever left behind.
		return true, false
	}
	if l.mu.count >= l.cfg.MaxEntries || l.mu.count > 0 && l.mu.bytes+x.Held() > l.cfg.MaxBytes {
		return false, false
	}
	r := l.mu.streams[x.Stream]
	if r != nil && r.session != s {
		// Its session is over, and Drop on its way.
		l.removeLocked(r)
		r = nil
	}
	l.countLocked(1, x)
	if r != nil {
		r.insert(x)
		return true, false
	}
	return true, l.addLocked(now, s, x, take, random)
}

// addLocked parks the first entry of a stream.
func (l *List) addLocked(now int64, s *lease.Session, x *lease.Entry, take lease.Take, random float64) (wake bool) {
	r := &parked{stream: x.Stream, session: s, place: notQueued, since: now}
	l.mu.streams[x.Stream] = r
	r.entries = append(r.entries, x)
	r.answered(take)
	wait := l.wait(r, take, random)
	if l.mu.handed[x.Stream] > 0 {
		wait = 0 // it has come back here: others should have it
	}
	return l.queueLocked(r, now+int64(wait))
}

// insert puts an entry where its ID belongs, but behind those that keep their places.
func (r *parked) insert(x *lease.Entry) {
	fixed := r.taken
	if r.pinned {
		fixed = max(fixed, 1)
	}
	at, _ := slices.BinarySearchFunc(r.entries[fixed:], x, func(a, b *lease.Entry) int { return lease.CompareIDs(a.ID, b.ID) })
	r.entries = slices.Insert(r.entries, fixed+at, x)
}

// Withdraw takes one entry out. It returns nil when the entry is not there, is being asked for, or is leaving.
func (l *List) Withdraw(stream, id string) *lease.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.mu.streams[stream]
	if r == nil {
		return nil
	}
	i := r.index(id)
	if i < r.taken {
		return nil
	}
	x := r.entries[i]
	if len(r.entries) == 1 {
		l.removeLocked(r)
		return x
	}
	if i == 0 {
		r.pinned = false
	}
	r.entries = slices.Delete(r.entries, i, i+1)
	l.countLocked(-1, x)
	return x
}

// Nudge has the first entry of a stream asked for at once. It returns the stream's partition if that is to be woken.
func (l *List) Nudge(now int64, stream string) (partition int, wake bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.handed, stream)
	r := l.mu.streams[stream]
	if r == nil {
		return 0, false
	}
	r.startOver(now)
	if r.place == notQueued {
		r.nudged = true
		return 0, false
	}
	return r.session.Partition(), l.queueLocked(r, 0)
}

// Freed does the same for a stream that another process has freed: whether a handler of it is in the way here is as before.
func (l *List) Freed(stream string) (partition int, wake bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.mu.streams[stream]
	if r == nil {
		return 0, false
	}
	r.asked, r.holder = 0, ""
	if r.place == notQueued {
		r.nudged = true
		return 0, false
	}
	return r.session.Partition(), l.queueLocked(r, 0)
}

// Hasten has all streams of a partition asked for within a time, at random: any of them may have been freed. It reports whether the
// partition is to be woken.
func (l *List) Hasten(now int64, partition int, within time.Duration, random func() float64) (wake bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.mu.due[partition]
	for _, r := range slices.Clone(*h) {
		if at := now + int64(random()*float64(within)); at < r.due {
			wake = l.queueLocked(r, at) || wake
		}
	}
	return wake
}

// Drop forgets what is parked for a session: it is over, and all that was pending for it goes back. The partition may
// have its next session by now, with entries parked for that.
func (l *List) Drop(s *lease.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.mu.streams {
		if r.session == s {
			l.removeLocked(r)
		}
	}
}

// Clear takes everything out.
func (l *List) Clear() (out []*lease.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.mu.streams {
		out = append(out, r.entries...)
	}
	l.resetLocked()
	return out
}

// countLocked counts entries that come or go: n is 1 or -1.
func (l *List) countLocked(n int, entries ...*lease.Entry) {
	l.mu.count += n * len(entries)
	for _, x := range entries {
		l.mu.bytes += n * x.Held()
	}
}

// removeLocked forgets a stream with all its entries.
func (l *List) removeLocked(r *parked) {
	l.countLocked(-1, r.entries...)
	delete(l.mu.streams, r.stream)
	l.unqueueLocked(r)
}
