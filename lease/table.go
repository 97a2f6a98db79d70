package lease

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/wheel"
)

// Table is the leases this process renews: those held, and those whose ending is not settled yet. The wheel in it keeps
// one timer a lease, for whichever comes first, its renewal or its deadline. Safe for concurrent use; its mutex is
// never held across I/O or a callback that blocks.
type Table struct {
	clock Clock
	tick  int64 // of the wheel
	size  atomic.Int64
	young atomic.Int64 // listed leases that were never renewed

	mu struct {
		sync.Mutex
		byStream map[string]*Lease
		byHandle []*Lease
		free     []wheel.Handle
		counts   []int // by partition
		wheel    *wheel.Wheel
		due      wheel.Due
	}
}

// NewTable is an empty table for so many partitions.
func NewTable(clock Clock, partitions int, shape wheel.Config) (*Table, error) {
	w, err := wheel.New(shape, clock.Now())
	if err != nil {
		return nil, err
	}
	t := &Table{clock: clock, tick: int64(shape.WithDefaults().Tick)}
	t.mu.byStream = make(map[string]*Lease)
	t.mu.counts = make([]int, partitions)
	t.mu.wheel = w
	return t, nil
}

// Add lists a lease and sets its timer. It reports false, and changes nothing, if a lease of the stream is listed. added
// runs with the table locked, before anybody else can find the lease there; it must be quick, and may be nil.
func (t *Table) Add(l *Lease, at int64, added func(*Lease)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	stream := l.Stream()
	if t.mu.byStream[stream] != nil {
		return false
	}
	if n := len(t.mu.free); n > 0 {
		l.handle = t.mu.free[n-1]
		t.mu.free = t.mu.free[:n-1]
		t.mu.byHandle[l.handle] = l
	} else {
		l.handle = wheel.Handle(len(t.mu.byHandle))
		t.mu.byHandle = append(t.mu.byHandle, l)
	}
	l.listed, l.due = true, at
	t.mu.byStream[stream] = l
	t.mu.counts[l.Partition()]++
	t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), at)
	t.size.Add(1)
	t.young.Add(1)
	if added != nil {
		added(l)
	}
	return true
}

// Remove takes a lease off, and its timer. It reports false if it was not listed: of several that saw it end, one
// carries out what follows.
func (t *Table) Remove(l *Lease) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.removeLocked(l)
}

func (t *Table) removeLocked(l *Lease) bool {
	if !l.listed {
		return false
	}
	l.listed = false
	t.mu.wheel.Cancel(l.handle)
	t.mu.byHandle[l.handle] = nil
	t.mu.free = append(t.mu.free, l.handle)
	delete(t.mu.byStream, l.Stream())
	t.mu.counts[l.Partition()]--
	t.size.Add(-1)
	if !l.renewed {
		t.young.Add(-1)
	}
	return true
}

// Get is the listed lease of a stream, nil if there is none.
func (t *Table) Get(stream string) *Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.byStream[stream]
}

// Len is the number of listed leases. No lock.
func (t *Table) Len() int { return int(t.size.Load()) }

// Young is the number of listed leases that were not renewed yet. No lock.
func (t *Table) Young() int { return int(t.young.Load()) }

// Counts copies the number of listed leases of each partition into out.
func (t *Table) Counts(out []int) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append(out[:0], t.mu.counts...)
}

// Count is the number of listed leases of a partition.
func (t *Table) Count(partition int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.counts[partition]
}

// All is a snapshot of the listed leases.
func (t *Table) All() []*Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*Lease, 0, len(t.mu.byStream))
	for _, l := range t.mu.byHandle {
		if l != nil {
			out = append(out, l)
		}
	}
	return out
}

// Of is a snapshot of the listed leases of one session.
func (t *Table) Of(s *Session) iter.Seq[*Lease] {
	return func(yield func(*Lease) bool) {
		for _, l := range t.All() {
			if l.session == s && !yield(l) {
				return
			}
		}
	}
}

// Youngest is the n leases that were acquired last.
func (t *Table) Youngest(n int) []*Lease {
	all := t.All()
	slices.SortFunc(all, func(a, b *Lease) int { return cmp.Compare(b.since, a.since) })
	return all[:min(max(n, 0), len(all))]
}

// Oldest is the lease that has been listed for longest, nil if there is none.
func (t *Table) Oldest() *Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	var oldest *Lease
	for _, l := range t.mu.byHandle {
		if l != nil && (oldest == nil || l.since < oldest.since) {
			oldest = l
		}
	}
	return oldest
}

// Due takes out what is due at now. For each lease, decide says when its timer is to ring again, and whether it is to be
// renewed; leases to be renewed are appended to queues[partition] unless they wait in one already. decide runs with the
// table locked and must be quick. It returns whether anything was queued.
func (t *Table) Due(now int64, queues [][]*Lease, decide func(l *Lease) (at int64, renew bool)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.wheel.Advance(now, &t.mu.due)
	queued := false
	for p, handles := range t.mu.due.Groups() {
		for _, h := range handles {
			l := t.mu.byHandle[h]
			at, renew := decide(l)
			switch {
			case renew && l.queued:
				// It waits, or is on its way: its turn comes by itself, so only its deadline is left to watch.
				at = max(at, l.lastLocked(t.tick))
			case renew:
				l.queued = true
				queues[p] = append(queues[p], l)
				queued = true
			}
			t.mu.wheel.Schedule(h, p, at)
		}
	}
	return queued
}

// Next is when Due has something next, a lower bound; false when nothing is listed.
func (t *Table) Next() (at int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.wheel.Next()
}

// Renewed sets the timers of leases whose renewal succeeded to their next one, lets them be queued again, and tells late
// how long after its time each was sent. A lease that is no longer listed, or whose place another one took meanwhile, is
// left alone: an old answer touches nothing.
func (t *Table) Renewed(leases []*Lease, sent int64, next func(*Lease) int64, late func(time.Duration)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range leases {
		l.queued = false
		if l.listed {
			if !l.renewed {
				l.renewed = true
				t.young.Add(-1)
			}
			late(time.Duration(max(0, sent-l.due)))
			l.due = next(l)
			t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), l.due)
		}
	}
}

// Retry sets the timers of leases whose renewal had no answer, or none that counts. They stay due since they were. No
// timer is set beyond the tick before a deadline: the owner is told in time.
func (t *Table) Retry(leases []*Lease, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range leases {
		l.queued = false
		if l.listed {
			t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), min(at, l.lastLocked(t.tick)))
		}
	}
}

// lastLocked is when a lease has to be looked at at the latest: the tick before its deadline, or its session's.
func (l *Lease) lastLocked(tick int64) int64 {
	return min(l.until.load(), l.session.until.load()) - tick
}

// Hasten makes leases of a session due at the times that at says, and leaves alone those for which it reports false. It
// returns how many it made due. at runs with the table locked and must be quick.
func (t *Table) Hasten(s *Session, at func(*Lease) (int64, bool)) (count int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.mu.byHandle {
		if l == nil || l.session != s {
			continue
		}
		if due, ok := at(l); ok && due < l.due {
			l.due = due
			t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), due)
			count++
		}
	}
	return count
}

// RevalidateAll makes all leases of a session due, at the times that at returns, and lowers their deadlines to until: their server
// may have forgotten them.
func (t *Table) RevalidateAll(s *Session, until int64, at func(*Lease) int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.mu.byHandle {
		if l != nil && l.session == s {
			l.Cap(until)
			now := at(l)
			l.due = min(l.due, now) // what is late stays so
			t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), now)
		}
	}
}
