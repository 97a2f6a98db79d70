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

// Table holds the leases that this process renews: those held, and those whose ending is not settled yet. Its wheel keeps one
// timer a lease, for its renewal or its deadline, whichever comes first. Safe for concurrent use; its mutex is never held
// across I/O or a callback that blocks.
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
		sets     []sets           // by partition
		chunk    [setChunk]uint32 // used by ofLocked
		wheel    *wheel.Wheel
		due      wheel.Due
	}
}

// NewTable returns an empty table for the given number of partitions.
func NewTable(clock Clock, partitions int, shape wheel.Config) (*Table, error) {
	w, err := wheel.New(shape, clock.Now())
	if err != nil {
		return nil, err
	}
	t := &Table{clock: clock, tick: int64(shape.WithDefaults().Tick)}
	t.mu.byStream = make(map[string]*Lease)
	t.mu.sets = make([]sets, partitions)
	t.mu.wheel = w
	return t, nil
}

// Add lists a lease and sets its timer. It reports false, and changes nothing, if a lease of the stream is listed already. added
// runs with the table locked, before anybody else can find the lease; it must be quick, and may be nil.
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
	t.mu.sets[l.Partition()].listed.Add(uint32(l.handle))
	t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), at)
	t.size.Add(1)
	t.young.Add(1)
	if added != nil {
		added(l)
	}
	return true
}

// Remove removes a lease and its timer. It reports false if the lease was not listed: of several goroutines that saw it end, one
// does what follows.
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
	t.mu.sets[l.Partition()].remove(l.handle)
	t.size.Add(-1)
	if !l.renewed {
		t.young.Add(-1)
	}
	return true
}

// Get returns the listed lease of a stream, nil if there is none.
func (t *Table) Get(stream string) *Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.byStream[stream]
}

// Len returns the number of listed leases. It takes no lock.
func (t *Table) Len() int { return int(t.size.Load()) }

// Young returns the number of listed leases that were not renewed yet. It takes no lock.
func (t *Table) Young() int { return int(t.young.Load()) }

// Counts copies the number of listed leases of each partition into out.
func (t *Table) Counts(out []int) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	out = out[:0]
	for p := range t.mu.sets {
		out = append(out, int(t.mu.sets[p].listed.GetCardinality()))
	}
	return out
}

// Count returns the number of listed leases of a partition.
func (t *Table) Count(partition int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int(t.mu.sets[partition].listed.GetCardinality())
}

// All returns a snapshot of the listed leases.
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

// ofLocked yields the listed leases of a session, by ascending handle. Meanwhile, nothing may be added or removed, and it cannot be
// called again.
func (t *Table) ofLocked(s *Session) iter.Seq[*Lease] {
	return func(yield func(*Lease) bool) {
		for all := t.mu.sets[s.partition].listed.ManyIterator(); ; {
			n := all.NextMany(t.mu.chunk[:])
			for _, h := range t.mu.chunk[:n] {
				if l := t.mu.byHandle[h]; l.session == s && !yield(l) {
					return
				}
			}
			if n == 0 {
				return
			}
		}
	}
}

// Of iterates over a snapshot of the listed leases of one session.
func (t *Table) Of(s *Session) iter.Seq[*Lease] {
	return func(yield func(*Lease) bool) {
		for _, l := range t.snapshot(s) {
			if !yield(l) {
				return
			}
		}
	}
}

func (t *Table) snapshot(s *Session) []*Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Lease, 0, t.mu.sets[s.partition].listed.GetCardinality())
	for l := range t.ofLocked(s) {
		all = append(all, l)
	}
	return all
}

// Youngest returns the n leases that were acquired last.
func (t *Table) Youngest(n int) []*Lease {
	all := t.All()
	slices.SortFunc(all, func(a, b *Lease) int { return cmp.Compare(b.since, a.since) })
	return all[:min(max(n, 0), len(all))]
}

// Oldest returns the lease that was acquired first, nil if there is none.
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

// Due fires the timers that are due at now. For each lease, decide returns when its timer fires next and whether to renew it;
// leases to renew are appended to queues[partition] unless they are queued already. decide runs with the table locked and must
// be quick. Due reports whether anything was queued.
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
				// It is queued or in flight: its renewal comes anyway, so only its deadline needs watching.
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

// Next returns a lower bound of when Due will next find something; false if nothing is listed.
func (t *Table) Next() (at int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.wheel.Next()
}

// Renewed sets the timers of leases whose renewal succeeded to their next one, lets them be queued again, and calls late with how
// late each was sent. They are confirmed then: it must have been sent after their server was last seen to change. A lease that is no
// longer listed, or that another one has replaced, is left alone: an old answer changes nothing.
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
			t.mu.sets[l.Partition()].confirm(l.handle)
			l.due = next(l)
			t.mu.wheel.Schedule(l.handle, uint16(l.Partition()), l.due)
		}
	}
}

// Retry sets the timers of leases whose renewal had no answer, or none that counts. When they became due stays the same. No timer
// is set beyond the tick before a deadline, so that the owner is notified in time.
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

// lastLocked returns the latest time to look at a lease: the tick before its deadline, or its session's.
func (l *Lease) lastLocked(tick int64) int64 {
	return min(l.until.load(), l.session.until.load()) - tick
}
