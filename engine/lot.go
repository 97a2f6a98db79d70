package engine

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// How often the first entry of a parked row is asked for.
const (
	parkFirst   = 100 * time.Millisecond
	parkMost    = 30 * time.Second // while the holder stays the same
	parkChanged = 2 * time.Second  // once the holder has changed
	// parkSpill is how long an entry stays in later for which the lot had no room.
	parkSpill = 30 * time.Second
)

// lot is where entries are parked whose stream is held: by somebody else, or by this process. Of one stream only the
// entry with the lowest ID is asked for, with growing delays, and at once when this very process frees the stream.
type lot struct {
	e     *Engine
	work  *workqueue.Queue
	pages []lease.PageSize // entries that are asked for together, by partition; of whoever works for it

	mu struct {
		sync.Mutex
		rows  map[string]*row // by stream
		due   []rowHeap       // by partition
		count int             // entries, those being asked for included
		bytes int             // what those hold
		after []int64         // nothing is asked before then, by partition: the last time there was no answer
		stuck map[string]int  // how often a stream was handed on since a handler of it has been in its way
	}
}

// row is the parked entries of one stream.
type row struct {
	stream  string
	session *lease.Session
	entries []*lease.Entry // lowest ID first
	due     int64          // when the first is asked for
	place   int            // in the heap; notQueued while the first is being asked for
	delay   time.Duration
	holder  string // as of the last answer; empty: not known, or this process
	changed bool   // the holder was seen to change
	since   int64  // from when on a handler of the stream may be in its way: the stream is not held here
}

const notQueued = -1

func newLot(ctx context.Context, e *Engine) *lot {
	l := &lot{e: e}
	l.mu.rows = make(map[string]*row)
	l.mu.due = make([]rowHeap, len(e.partitions))
	l.mu.after = make([]int64, len(e.partitions))
	l.mu.stuck = make(map[string]int)
	l.pages = make([]lease.PageSize, len(e.partitions))
	for n := range l.pages {
		l.pages[n] = lease.NewPageSize(e.cfg.pipeline.MaxMoves())
	}
	l.work = workqueue.New(ctx, len(e.partitions), e.cfg.pipeline.MaxInFlight, e.lane, l.run)
	return l
}

// len is the number of parked entries.
func (l *lot) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.count
}

// counts is the number of parked entries of each partition.
func (l *lot) counts() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int, len(l.e.partitions))
	for _, r := range l.mu.rows {
		out[r.session.Partition()] += len(r.entries)
	}
	return out
}

// has says whether entries of a stream are parked.
func (l *lot) has(stream string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.rows[stream] != nil
}

// hasEntry says whether this very entry is parked.
func (l *lot) hasEntry(stream, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.mu.rows[stream]
	return r != nil && slices.ContainsFunc(r.entries, func(x *lease.Entry) bool { return x.ID == id })
}

// of is the entries that are parked for a session.
func (l *lot) of(s *lease.Session) (out []*lease.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.mu.rows {
		if r.session == s {
			out = append(out, r.entries...)
		}
	}
	return out
}

// withdraw takes one entry out, nil when it is not there or is being asked for.
func (l *lot) withdraw(stream, id string) (x *lease.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.mu.rows[stream]
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.entries, func(x *lease.Entry) bool { return x.ID == id })
	if i < 0 || i == 0 && r.place == notQueued {
		return nil
	}
	x = r.entries[i]
	if len(r.entries) == 1 {
		l.removeLocked(r)
		return x
	}
	r.entries = slices.Delete(r.entries, i, i+1)
	l.countLocked(-1, x)
	return x
}

// park takes an entry in. take is the answer that named the holder; the zero Take means this process. It reports false
// when the lot is full: the entry must go elsewhere.
func (l *lot) park(s *lease.Session, x *lease.Entry, take lease.Take) bool {
	now := l.e.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Remaining() == 0 {
		// A session ends before drop is called for it, so no row of one that is over is ever left behind.
		return true
	}
	if l.mu.count >= l.e.cfg.maxParked || l.mu.count > 0 && l.mu.bytes+x.Held() > l.e.cfg.readMemory/2 {
		return false
	}
	l.countLocked(1, x)
	r := l.mu.rows[x.Stream]
	if r != nil && r.session != s {
		// Its session is over, and drop on its way.
		l.removeLocked(r)
		r = nil
	}
	if r == nil {
		r = &row{stream: x.Stream, session: s, place: notQueued, since: now}
		l.mu.rows[x.Stream] = r
		r.entries = append(r.entries, x)
		r.answered(l.e, take)
		wait := r.wait(l.e, take)
		if l.mu.stuck[x.Stream] > 0 {
			wait = 0 // it has come back here: others should have it
		}
		l.queueLocked(x.Partition, r, now+int64(wait))
		return true
	}
	at, _ := slices.BinarySearchFunc(r.entries, x, func(a, b *lease.Entry) int { return lease.CompareIDs(a.ID, b.ID) })
	if at == 0 && r.place == notQueued {
		at = 1 // the first is being asked for
	}
	r.entries = slices.Insert(r.entries, at, x)
	return true
}

// countLocked counts entries that come or go: n is 1 or -1.
func (l *lot) countLocked(n int, entries ...*lease.Entry) {
	l.mu.count += n * len(entries)
	for _, x := range entries {
		l.mu.bytes += n * x.Held()
	}
}

// answered notes who holds the stream.
func (r *row) answered(e *Engine, take lease.Take) {
	if r.holder != "" && take.Holder != "" && take.Holder != r.holder {
		r.changed = true
	}
	if take.Holder != "" {
		r.holder = take.Holder
	}
	most := parkMost
	if r.changed {
		most = parkChanged
	}
	r.delay = min(max(2*r.delay, parkFirst), most)
}

// wait is how long to wait before asking again: the delay, less a random part, but no longer than the holder's lease.
func (r *row) wait(e *Engine, take lease.Take) time.Duration {
	if take.Verdict == 0 {
		return min(parkMost, e.cfg.leaseTTL) // this process will say when
	}
	d := r.delay - time.Duration(float64(r.delay)/4*e.random())
	if take.Verdict == lease.HeldByOne && take.Left > 0 && take.Left < d {
		d = max(take.Left, parkFirst/4)
	}
	return d
}

// nudge has the first entry of a stream asked for at once.
func (l *lot) nudge(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mu.stuck, stream)
	r := l.mu.rows[stream]
	if r == nil {
		return
	}
	r.delay, r.holder = 0, ""
	r.since = l.e.clock.Now()
	if r.place == notQueued {
		r.due = 0 // asked for again at once after this time
		return
	}
	l.queueLocked(r.session.Partition(), r, 0)
}

func (l *lot) queueLocked(partition int, r *row, at int64) {
	r.due = at
	h := &l.mu.due[partition]
	if r.place == notQueued {
		heap.Push(h, r)
	} else {
		heap.Fix(h, r.place)
	}
	if r.place == 0 {
		l.work.Add(partition)
	}
}

// drop forgets what is parked for a session: it is over, and all that was pending for it goes back. The partition may
// have its next session by now, with entries parked for that.
func (l *lot) drop(s *lease.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.mu.rows {
		if r.session == s {
			l.removeLocked(r)
		}
	}
}

// removeLocked forgets a row.
func (l *lot) removeLocked(r *row) {
	l.countLocked(-1, r.entries...)
	delete(l.mu.rows, r.stream)
	if r.place != notQueued {
		heap.Remove(&l.mu.due[r.session.Partition()], r.place)
	}
}

// clear takes everything out, to be handed back.
func (l *lot) clear() (out []*lease.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.mu.rows {
		out = append(out, r.entries...)
	}
	l.mu.rows = make(map[string]*row)
	l.mu.due = make([]rowHeap, len(l.e.partitions))
	l.mu.count, l.mu.bytes = 0, 0
	return out
}

// behindHandlerLocked deals with a row whose stream this process does not own while a handler of it still runs. If that
// goes on for longer than a lease lasts, others get the stream. Who reads it then is a matter of luck: what comes back here
// is handed on at once, with growing delays, since there may be nobody else.
func (l *lot) behindHandlerLocked(partition int, r *row, now int64) {
	n := l.mu.stuck[r.stream]
	if n == 0 && time.Duration(now-r.since) <= l.e.cfg.leaseTTL {
		l.queueLocked(partition, r, min(now+int64(parkMost), r.since+int64(l.e.cfg.leaseTTL)+1))
		return
	}
	l.mu.stuck[r.stream] = n + 1
	delay := min(parkChanged<<min(n, 10), parkMost)
	l.giveBackLocked(r, lease.ToLater, delay-time.Duration(float64(delay)/4*l.e.random()))
}

// giveBackLocked gives up all of a row that is out of the heap.
func (l *lot) giveBackLocked(r *row, dest lease.Dest, delay time.Duration) {
	for _, x := range r.entries {
		l.e.completer.Requeue(r.session.Consumer(), x, completion.Target{Dest: dest, Delay: delay})
	}
	l.removeLocked(r)
}

// settle puts a row back after its first entry was asked for, or goes on to the next entry of the stream.
func (l *lot) settle(partition int, r *row, x *lease.Entry, take lease.Take, now int64) {
	l.mu.Lock()
	if l.mu.rows[r.stream] != r {
		// Dropped meanwhile, with its session.
		l.mu.Unlock()
		return
	}
	stays := take.Verdict == lease.HeldByOne || take.Verdict == lease.Refused
	if !stays {
		l.countLocked(-1, x)
		r.entries = slices.DeleteFunc(r.entries, func(y *lease.Entry) bool { return y == x })
		r.delay, r.holder, r.changed = 0, "", false
	}
	switch {
	case len(r.entries) == 0:
		delete(l.mu.rows, r.stream)
	case take.Verdict == lease.Acquired:
		r.since = now
		l.queueLocked(partition, r, now+int64(parkMost))
	case !stays || r.due == 0:
		l.queueLocked(partition, r, now)
	default:
		r.answered(l.e, take)
		l.queueLocked(partition, r, now+int64(r.wait(l.e, take)))
	}
	waiting := len(r.entries) > 0
	l.mu.Unlock()
	if !stays {
		l.e.took(r.session, x, take)
	}
	if take.Verdict == lease.Acquired && waiting {
		if held := l.e.table.Get(r.stream); held != nil {
			l.e.supersede(held)
		} else {
			l.nudge(r.stream)
		}
	}
}

// rowHeap orders rows by when they are due; each knows its place.
type rowHeap []*row

func (h rowHeap) Len() int           { return len(h) }
func (h rowHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h rowHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *rowHeap) Push(x any) {
	r := x.(*row)
	r.place = len(*h)
	*h = append(*h, r)
}
func (h *rowHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	r.place = notQueued
	return r
}
