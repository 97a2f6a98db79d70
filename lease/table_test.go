package lease

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/wheel"
)

const (
	tick = int64(100 * time.Millisecond)
	// lasting is a deadline that no test comes near.
	lasting = 1000 * time.Hour
)

func newTable(t require.TestingT, partitions int) *Table {
	table, err := NewTable(NewClock(), partitions, wheel.Config{})
	require.NoError(t, err)
	return table
}

// row is a lease of a stream in a session that lasts.
func row(s *Session, stream string) *Lease {
	e := &Entry{ID: "1-1", Stream: stream, Key: "{shop-input}:lease:" + stream}
	return New(s, e, 1, 1, lasting, nil)
}

func sessionIn(partition int) *Session {
	return NewSession(context.Background(), NewClock(), partition, alice, 1, lasting)
}

// always renews, and looks again after a second.
func always(now int64) func(*Lease) (int64, bool) {
	return func(*Lease) (int64, bool) { return now + int64(time.Second), true }
}

func TestTableListsOneLeaseAStream(t *testing.T) {
	table, s := newTable(t, 2), sessionIn(1)
	a, again := row(s, "a"), row(s, "a")
	told := 0
	require.True(t, table.Add(a, tick, func(*Lease) { told++ }))
	require.False(t, table.Add(again, tick, func(*Lease) { told++ }))
	require.Equal(t, 1, told)
	require.Same(t, a, table.Get("a"))
	require.Equal(t, 1, table.Len())
	require.Equal(t, []int{0, 1}, table.Counts(nil))
	require.False(t, table.Remove(again), "it is not the one that is listed")
	require.Same(t, a, table.Get("a"))
	require.True(t, table.Remove(a))
	require.False(t, table.Remove(a), "of several that saw it end, one carries on")
	require.Nil(t, table.Get("a"))
	require.Zero(t, table.Len())
	_, ok := table.Next()
	require.False(t, ok)
	require.True(t, table.Add(again, tick, nil))
}

func TestTableGivesOutWhatIsDueByPartition(t *testing.T) {
	table := newTable(t, 3)
	var queues [3][]*Lease
	for p := range 3 {
		s := sessionIn(p)
		for i := range 5 {
			table.Add(row(s, fmt.Sprint(p, "-", i)), int64(i+1)*tick, nil)
		}
	}
	at, ok := table.Next()
	require.True(t, ok)
	require.LessOrEqual(t, at, tick)
	require.False(t, table.Due(0, queues[:], always(0)))
	require.True(t, table.Due(2*tick, queues[:], always(2*tick)))
	for p := range queues {
		require.Len(t, queues[p], 2)
		for _, l := range queues[p] {
			require.Equal(t, p, l.Partition())
		}
	}
}

// A lease whose batch has no answer yet rings again, and is not put into a second batch.
func TestTableQueuesALeaseOnce(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	l := row(s, "a")
	table.Add(l, tick, nil)
	queues := make([][]*Lease, 1)
	require.True(t, table.Due(tick, queues, always(tick)))
	now := tick + int64(2*time.Second)
	rang := 0
	require.False(t, table.Due(now, queues, func(*Lease) (int64, bool) { rang++; return now + tick, true }))
	require.Equal(t, 1, rang)
	require.Len(t, queues[0], 1)

	table.Retry(queues[0], now+3*tick)
	queues[0] = nil
	require.False(t, table.Due(now+2*tick, queues, always(now)))
	require.True(t, table.Due(now+3*tick, queues, always(now)))

	var late []time.Duration
	note := func(d time.Duration) { late = append(late, d) }
	table.Renewed(queues[0], now+3*tick, func(*Lease) int64 { return now + 100*tick }, note)
	require.Equal(t, []time.Duration{time.Duration(now + 2*tick)}, late, "due since it was, not since the retry")
	queues[0] = nil
	require.False(t, table.Due(now+99*tick, queues, always(now)))
	require.True(t, table.Due(now+100*tick, queues, always(now)))
	table.Renewed(queues[0], now+90*tick, func(*Lease) int64 { return now + 200*tick }, note)
	require.Zero(t, late[1], "early is not late")
}

// Not to be renewed (its deadline only): it rings and is not queued.
func TestTableDecides(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	table.Add(row(s, "a"), tick, nil)
	queues := make([][]*Lease, 1)
	require.False(t, table.Due(tick, queues, func(*Lease) (int64, bool) { return 2 * tick, false }))
	require.True(t, table.Due(2*tick, queues, always(2*tick)))
}

// Trace: a batch is under way; one of its leases ends and its handle is given to a lease of another stream; then the answer
// arrives. It must not extend, re-arm or un-queue the new one.
func TestRule17OldAnswerDoesNotTouchTheLeaseThatTookItsPlace(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	old, young := row(s, "old"), row(s, "young")
	table.Add(old, tick, nil)
	queues := make([][]*Lease, 1)
	table.Due(tick, queues, always(tick))
	sent := queues[0]
	queues[0] = nil
	require.True(t, table.Remove(old))
	require.True(t, table.Add(young, 5*tick, nil))
	require.Equal(t, old.handle, young.handle, "the handle is used again")
	until := young.until.load()

	table.Renewed(sent, tick, func(l *Lease) int64 { l.until.lower(1); return 1000 * tick }, func(time.Duration) {
		t.Error("nothing was renewed")
	})
	table.Retry(sent, 1000*tick)
	require.Equal(t, until, young.until.load())
	require.EqualValues(t, 5*tick, young.due)
	require.True(t, table.Due(5*tick, queues, always(5*tick)))
	require.Equal(t, []*Lease{young}, queues[0])

	// And the other way round: the young one is under way, the old answer comes.
	table.Retry(sent, 6*tick)
	require.False(t, table.Due(7*tick, queues, always(7*tick)), "not queued twice")
	require.False(t, table.Remove(old))
	require.Equal(t, 1, table.Len())
}

func TestTableDistrustsOneSession(t *testing.T) {
	table := newTable(t, 1)
	mine, other := sessionIn(0), sessionIn(0)
	var leases []*Lease
	for i := range 10 {
		l := row(mine, fmt.Sprint("m", i))
		leases = append(leases, l)
		table.Add(l, 1000*tick, nil)
	}
	foreign := row(other, "o")
	table.Add(foreign, 1000*tick, nil)
	table.Distrust(mine, int64(time.Second), tick)
	for _, l := range leases {
		require.Equal(t, int64(time.Second), l.until.load())
	}
	require.Equal(t, 1+int64(lasting), foreign.until.load())
	queues := make([][]*Lease, 1)
	require.True(t, table.Due(tick, queues, always(tick)))
	require.ElementsMatch(t, leases, queues[0])
	require.Len(t, slices.Collect(table.Of(mine)), 10)
	require.Equal(t, []*Lease{foreign}, slices.Collect(table.Of(other)))
	for range table.Of(mine) {
		break
	}
}

func TestTableByAge(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	require.Nil(t, table.Oldest())
	require.Empty(t, table.Youngest(3))
	var leases []*Lease
	for i := range 5 {
		l := row(s, strconv.Itoa(i))
		l.since = int64((i*3)%5 + 1) // 1 4 2 5 3
		leases = append(leases, l)
		table.Add(l, tick, nil)
	}
	require.Same(t, leases[0], table.Oldest())
	require.Equal(t, []*Lease{leases[3], leases[1]}, table.Youngest(2))
	require.Len(t, table.Youngest(9), 5)
	require.Empty(t, table.Youngest(-1))
}

// Everything at once, for the race detector.
func TestTableIsSafeForManyGoroutines(t *testing.T) {
	table := newTable(t, 2)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			s := sessionIn(g % 2)
			for i := range 300 {
				l := row(s, fmt.Sprint(g, "-", i%20))
				if table.Add(l, int64(i)*tick, nil) && i%3 > 0 {
					table.Remove(l)
				}
				table.Counts(nil)
				table.Get("0-1")
				if i%50 == 0 {
					table.Distrust(s, int64(lasting), int64(i)*tick)
					for l := range table.Of(s) {
						table.DistrustOne(l, int64(lasting), int64(i)*tick)
					}
					table.SplitUnconfirmed(table.All())
					table.MakeAllDue(int64(i) * tick)
					table.Unconfirmed(nil)
				}
			}
		})
	}
	wg.Go(func() {
		queues := make([][]*Lease, 2)
		for i := range int64(300) {
			table.Due(i*tick, queues, always(i*tick))
			for p := range queues {
				table.Renewed(queues[p], i*tick, func(*Lease) int64 { return (i + 3) * tick }, func(time.Duration) {})
				queues[p] = nil
			}
			table.Next()
			table.Len()
			table.Oldest()
		}
	})
	wg.Wait()
	require.Equal(t, table.Len(), len(table.All()))
}

// Trace: a renewal fails shortly before the deadline, and the next attempt would be after it: the loop must ring in time to
// tell the owner.
func TestTableRetriesNoLaterThanTheDeadline(t *testing.T) {
	for name, spoil := range map[string]func(l *Lease, until int64){
		"the lease's":   func(l *Lease, until int64) { l.Cap(until) },
		"the session's": func(l *Lease, until int64) { l.session.until.lower(until) },
	} {
		t.Run(name, func(t *testing.T) {
			table, s := newTable(t, 1), sessionIn(0)
			l := row(s, "a")
			table.Add(l, tick, nil)
			queues := make([][]*Lease, 1)
			table.Due(tick, queues, always(tick))
			spoil(l, 10*tick)
			table.Retry(queues[0], 1000*tick)
			require.True(t, table.Due(9*tick, make([][]*Lease, 1), always(9*tick)))
			l.until.end()
			table.Retry(queues[0], 1000*tick)
			require.True(t, table.Due(10*tick, make([][]*Lease, 1), always(10*tick)), "past: at once")
		})
	}
}
