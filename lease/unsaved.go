package lease

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/streamlease/streamlease/api"
)

// unsaved are the leases of one session whose checkpoints are to be stored. Its mutex is a leaf, held for a few instructions. It
// keeps its memory, so that setting checkpoints allocates nothing.
type unsaved struct {
	hooks  SavingHooks
	number atomic.Uint64         // of the last call
	refuse atomic.Pointer[error] // nil: checkpoints are stored

	mu struct {
		sync.Mutex
		all    savingList // in the order in which they were listed
		wanted savingList // of them, those that somebody waits for
		wants  uint64     // how many were ever in that
	}
}

// savingList is a queue of leases. One may be in it that was sent meanwhile: its state has the last word.
type savingList struct {
	items []unsavedLease
	head  int // of items: those before it were taken
}

type unsavedLease struct {
	lease *Lease
	since int64
	want  uint64 // its number among those that were wanted
}

// SavingHooks are what a session calls about checkpoints. They must not block. Any may be nil.
type SavingHooks struct {
	Wanted  func()          // somebody waits for a checkpoint to be stored
	TooLong func(bytes int) // one was set that is longer than api.MaxCheckpoint
}

// HookSaving sets the hooks. It must be called before anybody else has the session.
func (s *Session) HookSaving(h SavingHooks) { s.unsaved.hooks = h }

// NextSaving returns the number of the next call of the session that writes checkpoints; each is greater than those before.
func (s *Session) NextSaving() uint64 { return s.unsaved.number.Add(1) }

// RefuseCheckpoints has SaveCheckpoint return err from now on, and no checkpoint listed; nil: checkpoints are stored. What was listed
// before stays: whoever refuses takes it and gives it back with the error. Who allows it again has all doubted (Table.DoubtCheckpoints).
func (s *Session) RefuseCheckpoints(err error) {
	if err == nil {
		s.unsaved.refuse.Store(nil)
		return
	}
	s.unsaved.refuse.Store(&err)
}

// Unsaved returns how many checkpoints are to be stored that are in no call, and since when the first of them was, on the clock; 0
// if there are none.
func (s *Session) Unsaved() (count int, oldest int64) {
	u := &s.unsaved
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, x := range u.mu.all.items[u.mu.all.head:] { // one that failed is behind younger ones
		if oldest == 0 || x.since < oldest {
			oldest = x.since
		}
	}
	return u.mu.all.len(), oldest
}

// FirstUnsaved returns since when the checkpoint was to be stored that was listed first, on the clock; 0 if there is none.
func (s *Session) FirstUnsaved() int64 {
	u := &s.unsaved
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mu.all.len() == 0 {
		return 0
	}
	return u.mu.all.items[u.mu.all.head].since
}

// SavingLimit is what a call takes of the checkpoints that are to be stored.
type SavingLimit struct {
	Count  int    // at most so many
	Weight int    // of at most so much together
	Whole  bool   // the first one may have more
	Wanted uint64 // those that somebody waits for, as WantedCheckpoints returned; 0: none of them
	Before int64  // those listed by then, on the clock
}

// AllUnsaved is without a limit.
var AllUnsaved = SavingLimit{Count: math.MaxInt, Weight: math.MaxInt, Wanted: math.MaxUint64, Before: math.MaxInt64}

// WantedCheckpoints returns which checkpoints are to be stored now because somebody waits for that, for a SavingLimit. Those that are
// given back since do not count.
func (s *Session) WantedCheckpoints() uint64 {
	u := &s.unsaved
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mu.wants
}

// TakeUnsaved takes checkpoints that are to be stored, for one call. Those that somebody waits for come first. Each must be given back
// by Lease.Stored or Lease.NotStored. oldest is since when the first of them was to be stored, on the clock.
func (s *Session) TakeUnsaved(limit SavingLimit) (items []Saving, oldest int64) {
	u := &s.unsaved
	for len(items) < limit.Count {
		list := &u.mu.wanted
		x, ok := u.pop(list, limit)
		if !ok {
			list = &u.mu.all
			x, ok = u.pop(list, limit)
		}
		if !ok {
			break
		}
		most := limit.Weight
		if limit.Whole && len(items) == 0 {
			most = max(most, 2*len(x.lease.Stream())+api.MaxCheckpoint+saveOverhead)
		}
		item, fits, ok := x.lease.Send(most)
		if !fits {
			u.unpop(list, x)
			break
		}
		if !ok {
			continue
		}
		limit.Weight -= item.Weight()
		items = append(items, item)
		if oldest == 0 || x.since < oldest {
			oldest = x.since
		}
	}
	return items, oldest
}

// add lists a lease, among those that somebody waits for if wanted is true.
func (u *unsaved) add(l *Lease, wanted bool) {
	now := l.session.clock.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if !wanted {
		u.mu.all.add(unsavedLease{lease: l, since: now})
		return
	}
	u.mu.wants++
	u.mu.wanted.add(unsavedLease{l, now, u.mu.wants})
}

// pop takes the first lease of a list, if it is within a limit.
func (u *unsaved) pop(from *savingList, limit SavingLimit) (x unsavedLease, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if from.len() == 0 {
		return x, false
	}
	first := from.items[from.head]
	if from == &u.mu.wanted && first.want > limit.Wanted || from == &u.mu.all && first.since > limit.Before {
		return x, false
	}
	return from.pop(), true
}

func (u *unsaved) unpop(to *savingList, x unsavedLease) {
	u.mu.Lock()
	defer u.mu.Unlock()
	to.unpop(x)
}

func (q *savingList) len() int { return len(q.items) - q.head }

func (q *savingList) add(x unsavedLease) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, x)
}

func (q *savingList) pop() unsavedLease {
	x := q.items[q.head]
	q.items[q.head] = unsavedLease{}
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return x
}

// unpop puts one back that was taken last.
func (q *savingList) unpop(x unsavedLease) {
	if q.head > 0 {
		q.head--
		q.items[q.head] = x
		return
	}
	q.add(x)
}

func (u *unsaved) want() {
	if u.hooks.Wanted != nil {
		u.hooks.Wanted()
	}
}

func (u *unsaved) tooLong(bytes int) {
	if u.hooks.TooLong != nil {
		u.hooks.TooLong(bytes)
	}
}

func (u *unsaved) refusal() error {
	if err := u.refuse.Load(); err != nil {
		return *err
	}
	return nil
}
