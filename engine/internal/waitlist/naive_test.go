package waitlist

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
)

const (
	partitions = 2
	maxEntries = 12
	maxBytes   = 6000
	leaseTTL   = 12 * time.Second
)

// naive is a list as plainly as it can be written: a slice for each stream, and a search of all of them at each step.
type naive struct {
	list     *List
	now      int64
	sessions [partitions][]*lease.Session // the last one is open
	streams  map[string]*row
	after    [partitions]int64
	handed   map[string]int
	held     map[string]bool
	busy     map[string]bool
	asked    [partitions][]Asked
	leaving  [partitions][]Leaving
}

type row struct {
	stream  string
	session *lease.Session
	queued  []*lease.Entry // in the order of their IDs
	first   *lease.Entry   // the one that is asked for, or that keeps its place since that had no answer
	gone    []*lease.Entry // those that are leaving
	out     bool           // of the heap
	nudged  bool
	due     int64
	delay   time.Duration
	holder  string
	changed bool
	since   int64
}

func (r *row) entries() []*lease.Entry {
	all := slices.Clone(r.gone)
	if r.first != nil {
		all = append(all, r.first)
	}
	return append(all, r.queued...)
}

func newNaive() *naive {
	m := &naive{now: int64(time.Hour), streams: map[string]*row{}, handed: map[string]int{}, held: map[string]bool{}, busy: map[string]bool{}}
	m.list = New(Config{
		Partitions: partitions, MaxEntries: maxEntries, MaxBytes: maxBytes, LeaseTTL: leaseTTL,
		Held:   func(stream string) bool { return m.held[stream] },
		Busy:   func(stream string) bool { return m.busy[stream] },
		Weight: func(x *lease.Entry) int { return x.Size },
	})
	for p := range partitions {
		m.open(p)
	}
	return m
}

func (m *naive) open(p int) {
	clock := lease.NewClock()
	name := fmt.Sprintf("me.%d.%d", p, len(m.sessions[p]))
	m.sessions[p] = append(m.sessions[p], lease.NewSession(context.Background(), clock, p, name, clock.Now(), time.Hour))
}

// partitionOf is where streams of the test are.
func partitionOf(stream string) int { return int(stream[len(stream)-1]-'0') % partitions }

// delayed is the delay after another answer.
func (r *row) delayed(take lease.Take, random float64) time.Duration {
	if r.holder != "" && take.Holder != "" && take.Holder != r.holder {
		r.changed = true
	}
	r.holder = cmp.Or(take.Holder, r.holder)
	most := MaxDelay
	if r.changed {
		most = MaxDelayChanged
	}
	r.delay = min(max(2*r.delay, FirstDelay), most)
	if take.Verdict == 0 {
		return min(MaxDelay, leaseTTL)
	}
	d := r.delay - time.Duration(float64(r.delay)/4*random)
	if take.Verdict == lease.HeldByOne && take.Left > 0 && take.Left < d {
		d = max(take.Left, FirstDelay/4)
	}
	return d
}

func (r *row) add(x *lease.Entry) {
	r.queued = append(r.queued, x)
	slices.SortFunc(r.queued, func(a, b *lease.Entry) int { return lease.CompareIDs(a.ID, b.ID) })
}

func (m *naive) size() (count, bytes int) {
	for _, r := range m.streams {
		for _, x := range r.entries() {
			count, bytes = count+1, bytes+x.Held()
		}
	}
	return count, bytes
}

func (m *naive) park(t *rapid.T, s *lease.Session, x *lease.Entry, take lease.Take) {
	random := rapid.Float64Range(0, 0.999).Draw(t, "random")
	count, bytes := m.size()
	full := count >= maxEntries || count > 0 && bytes+x.Held() > maxBytes
	next := m.next(s.Partition())
	ok, wake := m.list.Park(m.now, s, x, take, random)
	if s.Remaining() == 0 {
		require.True(t, ok)
		require.False(t, wake)
		return
	}
	require.Equal(t, !full, ok, "full")
	if full {
		return
	}
	r := m.streams[x.Stream]
	if r != nil && r.session == s {
		r.add(x)
		require.False(t, wake)
		return
	}
	r = &row{stream: x.Stream, session: s, since: m.now}
	m.streams[x.Stream] = r
	r.add(x)
	r.due = m.now + int64(r.delayed(take, random))
	if m.handed[x.Stream] > 0 {
		r.due = m.now
	}
	if r.due < next {
		require.True(t, wake, "it is due before what was")
	}
}

// next is when the first of a partition is due.
func (m *naive) next(p int) int64 {
	at := int64(Never)
	for _, r := range m.streams {
		if !r.out && r.session.Partition() == p {
			at = min(at, r.due)
		}
	}
	return at
}

func (m *naive) nudge(t *rapid.T, stream string) {
	p, wake := m.list.Nudge(m.now, stream)
	delete(m.handed, stream)
	r := m.streams[stream]
	switch {
	case r == nil:
		require.False(t, wake)
		return
	case r.out:
		require.False(t, wake)
		r.nudged = true
	default:
		require.True(t, wake || m.next(r.session.Partition()) == 0, "it is the first one then")
		require.True(t, !wake || p == r.session.Partition())
		r.due = 0
	}
	r.delay, r.holder, r.since = 0, "", m.now
}

func (m *naive) withdraw(t *rapid.T, stream, id string) {
	got := m.list.Withdraw(stream, id)
	r := m.streams[stream]
	var want *lease.Entry
	if r != nil {
		is := func(x *lease.Entry) bool { return x.ID == id }
		if i := slices.IndexFunc(r.queued, is); i >= 0 {
			want = r.queued[i]
			r.queued = slices.Delete(r.queued, i, i+1)
		} else if !r.out && r.first != nil && is(r.first) {
			want, r.first = r.first, nil
		}
		if len(r.entries()) == 0 {
			delete(m.streams, stream)
		}
	}
	require.Same(t, want, got)
}

func (m *naive) takeDue(t *rapid.T, p int) {
	if len(m.asked[p])+len(m.leaving[p]) > 0 {
		return // as the work of one partition, which never runs twice at once
	}
	most, room := rapid.SampledFrom([]int{4, 2, 1}).Draw(t, "most"), rapid.SampledFrom([]int{4, 4, 2, 1, 0}).Draw(t, "room")
	due := m.list.TakeDue(m.now, p, most, room)
	m.asked[p], m.leaving[p] = due.Ask, due.Leave
	if m.after[p] > m.now {
		require.Empty(t, due.Ask)
		require.Empty(t, due.Leave)
		require.Equal(t, m.after[p], due.Next)
		return
	}
	require.LessOrEqual(t, len(due.Ask), min(most, room))
	weight := 0
	cutoff := int64(-1) // what was due before then was looked at
	for _, a := range due.Ask {
		r := m.take(t, p, a.Session, a.Entry.Stream)
		require.False(t, m.held[r.stream] || m.busy[r.stream], "a stream that is held, or has a handler, is not asked for")
		require.GreaterOrEqual(t, r.due, cutoff, "in the order in which they are due")
		cutoff = r.due
		if r.first == nil {
			require.Same(t, r.queued[0], a.Entry, "the lowest ID")
			r.first, r.queued = r.queued[0], r.queued[1:]
		}
		require.Same(t, r.first, a.Entry)
		weight += a.Entry.Size
	}
	require.True(t, weight <= lease.MaxCallWeight || len(due.Ask) == 1)
	for _, x := range due.Leave {
		r := m.take(t, p, x.Session, x.Entries[0].Stream)
		require.False(t, m.held[r.stream])
		require.ElementsMatch(t, r.entries(), x.Entries)
		if m.busy[r.stream] {
			require.True(t, m.handed[r.stream] > 0 || m.now-r.since > int64(leaseTTL))
			m.handed[r.stream]++
			require.Equal(t, m.handed[r.stream], x.Handed)
		} else {
			require.Zero(t, x.Handed)
			require.Len(t, due.Ask, room, "there is no room for it")
		}
		cutoff = max(cutoff, r.due)
		r.gone, r.first, r.queued = r.entries(), nil, nil
	}
	m.passOver(t, p, due, cutoff, most, weight)
	require.Equal(t, m.next(p), due.Next)
}

// take takes a stream out that must be due.
func (m *naive) take(t *rapid.T, p int, s *lease.Session, stream string) *row {
	r := m.streams[stream]
	require.NotNil(t, r, "nothing of a session that was dropped comes out")
	require.Same(t, r.session, s)
	require.Equal(t, p, s.Partition())
	require.Positive(t, s.Remaining())
	require.False(t, r.out, "nothing comes out twice")
	require.LessOrEqual(t, r.due, m.now)
	r.out, r.nudged = true, false
	return r
}

// passOver deals with what was due and did not come out.
func (m *naive) passOver(t *rapid.T, p int, due Due, cutoff int64, most, weight int) {
	var next *row // of what was not looked at
	for _, r := range slices.Collect(maps.Values(m.streams)) {
		if r.out || r.session.Partition() != p || r.due > m.now {
			continue
		}
		real := m.list.mu.streams[r.stream]
		if real != nil && real.due == r.due {
			require.GreaterOrEqual(t, r.due, cutoff)
			if next == nil || r.due < next.due || r.due == next.due && r.weight() > next.weight() {
				next = r
			}
			continue
		}
		switch {
		case r.session.Remaining() == 0:
			delete(m.streams, r.stream)
			require.Nil(t, real)
		case m.held[r.stream]:
			r.delay, r.holder, r.since = 0, "", m.now
			r.due = m.now + int64(MaxDelay)
		default:
			require.True(t, m.busy[r.stream])
			require.Zero(t, m.handed[r.stream])
			require.LessOrEqual(t, m.now-r.since, int64(leaseTTL))
			r.due = min(m.now+int64(MaxDelay), r.since+int64(leaseTTL)+1)
		}
		if real != nil {
			require.Equal(t, r.due, real.due)
		}
	}
	if next != nil && len(due.Ask) < most {
		require.NotEmpty(t, due.Ask, "what is due comes out")
		require.Greater(t, weight+next.weight(), lease.MaxCallWeight, "unless it weighs too much")
	}
}

// weight is that of the entry that comes next.
func (r *row) weight() int {
	if r.first != nil {
		return r.first.Size
	}
	return r.queued[0].Size
}

// current is the stream that was taken, nil when it was dropped meanwhile.
func (m *naive) current(stream string, s *lease.Session, entry *lease.Entry) *row {
	if r := m.streams[stream]; r != nil && r.session == s && r.out && slices.Contains(r.entries(), entry) {
		return r
	}
	return nil
}

func (m *naive) settle(t *rapid.T, a Asked, take lease.Take) {
	random := rapid.Float64Range(0, 0.999).Draw(t, "random")
	s := m.list.Settle(m.now, a, take, random)
	r := m.current(a.Entry.Stream, a.Session, a.Entry)
	if r == nil {
		require.Zero(t, s, "it was dropped")
		return
	}
	stays := take.Verdict == lease.HeldByOne || take.Verdict == lease.Refused
	require.Equal(t, !stays, s.Left)
	nudged := r.nudged
	r.first, r.out, r.nudged = nil, false, false
	if stays {
		r.add(a.Entry)
	} else {
		r.delay, r.holder, r.changed = 0, "", false
	}
	require.Equal(t, len(r.queued) > 0, s.Waiting)
	switch {
	case len(r.queued) == 0:
		delete(m.streams, r.stream)
	case take.Verdict == lease.Acquired:
		r.since, r.due = m.now, m.now+int64(MaxDelay)
	case !stays, nudged:
		r.due = m.now
	default:
		r.due = m.now + int64(r.delayed(take, random))
	}
}

func (m *naive) unanswered(p int, wait time.Duration, blame bool) {
	m.list.Unanswered(m.now, p, m.asked[p], wait, blame)
	m.after[p] = m.now + int64(wait)
	for _, a := range m.asked[p] {
		r := m.current(a.Entry.Stream, a.Session, a.Entry)
		if r == nil {
			continue
		}
		r.out, r.nudged, r.due = false, false, m.after[p]
		if blame {
			r.delay = min(max(2*r.delay, FirstDelay), MaxDelay)
			r.due = max(r.due, m.now+int64(min(r.delay, MaxDelayChanged)))
		}
	}
	m.asked[p] = nil
}

func (m *naive) moved(t *rapid.T, x Leaving) {
	wake := m.list.Moved(m.now, x)
	r := m.current(x.Entries[0].Stream, x.Session, x.Entries[0])
	if r == nil {
		require.False(t, wake)
		return
	}
	next := m.next(r.session.Partition())
	r.gone, r.out, r.nudged = nil, false, false
	if len(r.queued) == 0 {
		delete(m.streams, r.stream)
		require.False(t, wake)
		return
	}
	r.due, r.since = m.now, m.now
	r.delay, r.holder, r.changed = 0, "", false
	require.True(t, wake || next <= m.now)
}

func (m *naive) drop(s *lease.Session) {
	m.list.Drop(s)
	maps.DeleteFunc(m.streams, func(_ string, r *row) bool { return r.session == s })
}

// check compares what can be asked of a list.
func (m *naive) check(t *rapid.T) {
	count, bytes := m.size()
	gotCount, gotBytes := m.list.Size()
	require.Equal(t, []int{count, bytes}, []int{gotCount, gotBytes})
	counts := make([]int, partitions)
	of := make(map[*lease.Session][]*lease.Entry)
	for stream, r := range m.streams {
		require.True(t, m.list.Has(stream))
		counts[r.session.Partition()] += len(r.entries())
		of[r.session] = append(of[r.session], r.entries()...)
		for _, x := range r.entries() {
			require.True(t, m.list.HasEntry(stream, x.ID))
		}
		real := m.list.mu.streams[stream]
		require.Equal(t, r.entries(), real.entries)
		require.Equal(t, []any{r.since, r.holder, r.changed, r.out}, []any{real.since, real.holder, real.changed, real.place == notQueued})
	}
	require.Equal(t, counts, m.list.Counts())
	for _, sessions := range m.sessions {
		for _, s := range sessions {
			require.ElementsMatch(t, of[s], m.list.Of(s))
		}
	}
	require.Len(t, m.list.mu.streams, len(m.streams))
	require.Equal(t, m.handed, m.list.mu.handed)
	for p := range partitions {
		require.Equal(t, m.next(p), nextOf(m.list, p))
	}
}

func nextOf(l *List, p int) int64 {
	at := int64(Never)
	for _, r := range l.mu.due[p] {
		at = min(at, r.due)
	}
	return at
}
