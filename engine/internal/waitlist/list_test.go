package waitlist

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// always reports the same of every stream.
func always(is bool) func(string) bool { return func(string) bool { return is } }

func newList(held, busy func(string) bool) *List {
	return New(Config{
		Partitions: 1, MaxEntries: 1000, MaxBytes: 1 << 20, LeaseTTL: leaseTTL,
		Held: held, Busy: busy, Weight: func(*lease.Entry) int { return 1 },
	})
}

func newSession(name string) *lease.Session {
	clock := lease.NewClock()
	return lease.NewSession(context.Background(), clock, 0, name, clock.Now(), time.Hour)
}

func entry(stream, id string) *lease.Entry { return &lease.Entry{Stream: stream, ID: id} }

var heldByAnother = lease.Take{Verdict: lease.HeldByOne, Left: time.Hour, Holder: "other.1 1"}

// What is to be requeued stays in the list until it has its next place, cannot be withdrawn, and takes nothing with it that was
// parked behind it meanwhile.
//
// It was requeued under the mutex of the list: where that was refused because everything was closing, the list was called back,
// and only a condition far away kept it from waiting for itself.
func TestWhatLeavesStaysUntilItHasItsNextPlace(t *testing.T) {
	l, s := newList(always(false), always(false)), newSession("me")
	for _, id := range []string{"1-1", "1-2"} {
		parked, _ := l.Park(1, s, entry("s", id), heldByAnother, 0)
		require.True(t, parked)
	}
	now := int64(time.Minute)
	due := l.TakeDue(now, 0, 10, 0)
	require.Empty(t, due.Ask)
	require.Len(t, due.Leave, 1, "there is no room for it")
	require.Len(t, due.Leave[0].Entries, 2)
	require.True(t, l.HasEntry("s", "1-2"))
	require.Len(t, l.Of(s), 2)
	require.Nil(t, l.Withdraw("s", "1-2"))
	require.Empty(t, l.TakeDue(now, 0, 10, 10).Ask)

	_, wake := l.Park(now, s, entry("s", "1-0"), heldByAnother, 0)
	require.False(t, wake)
	require.True(t, l.Moved(now, due.Leave[0]))
	require.False(t, l.HasEntry("s", "1-2"))
	count, _ := l.Size()
	require.Equal(t, 1, count)
	due = l.TakeDue(now, 0, 10, 10)
	require.Equal(t, "1-0", due.Ask[0].Entry.ID)
	require.False(t, l.Moved(now, Leaving{parked: &parked{stream: "s"}}), "one that was dropped meanwhile")
}

// The entry with the lowest ID is asked for, also if it came while another one was. Where there was no answer the same one is asked for
// again: it may have the lease by now.
func TestTheLowestIDIsAskedFor(t *testing.T) {
	l, s := newList(always(false), always(false)), newSession("me")
	now := int64(0)
	ask := func() Asked {
		now += int64(time.Minute)
		due := l.TakeDue(now, 0, 10, 10)
		require.Len(t, due.Ask, 1)
		return due.Ask[0]
	}
	l.Park(1, s, entry("s", "1-5"), heldByAnother, 0)
	asked := ask()
	l.Park(now, s, entry("s", "1-3"), heldByAnother, 0)
	l.Settle(now, asked, heldByAnother, 0)
	asked = ask()
	require.Equal(t, "1-3", asked.Entry.ID)
	l.Unanswered(now, 0, []Asked{asked}, time.Second, false)
	l.Park(now, s, entry("s", "1-2"), heldByAnother, 0)
	asked = ask()
	require.Equal(t, "1-3", asked.Entry.ID)
	require.True(t, l.Settle(now, asked, lease.Take{Verdict: lease.Acquired}, 0).Waiting)
	require.Equal(t, "1-2", ask().Entry.ID)
}

// A handler that is in the way has the stream handed on after a lease TTL, and at once from then on, until it has ended.
func TestAHandlerInTheWayIsForgottenWhenItEnds(t *testing.T) {
	l, s := newList(always(false), always(true)), newSession("me")
	now := int64(0)
	for handed := range 3 {
		l.Park(now, s, entry("s", "1-1"), lease.Take{}, 0)
		due := l.TakeDue(now, 0, 10, 10)
		if handed == 0 {
			require.Empty(t, due.Leave)
			now += int64(leaseTTL) + 1
			due = l.TakeDue(now, 0, 10, 10)
		}
		require.Len(t, due.Leave, 1)
		require.Equal(t, handed+1, due.Leave[0].Handed)
		require.False(t, l.Moved(now, due.Leave[0]))
	}
	require.NotEmpty(t, l.mu.handed)
	l.Nudge(now, "s")
	require.Empty(t, l.mu.handed)
}

// A stream that is freed between the look and the answer to the look is not forgotten, however the two meet.
func TestNoNudgeIsLost(t *testing.T) {
	for range 200 {
		var held atomic.Bool
		held.Store(true)
		l, s := newList(func(string) bool { return held.Load() }, always(false)), newSession("me")
		l.Park(0, s, entry("s", "1-1"), lease.Take{}, 0)
		now := int64(time.Minute)
		var group sync.WaitGroup
		asked := 0
		group.Go(func() { asked += len(l.TakeDue(now, 0, 10, 10).Ask) })
		group.Go(func() {
			held.Store(false)
			l.Nudge(now, "s")
		})
		group.Wait()
		if asked == 0 {
			asked = len(l.TakeDue(now, 0, 10, 10).Ask)
		}
		require.Equal(t, 1, asked)
	}
}

// Whoever comes and goes at the same time, nothing is left and nothing is counted twice.
func TestListIsSafeForConcurrentUse(t *testing.T) {
	l := newList(func(stream string) bool { return stream == "s1" }, func(stream string) bool { return stream == "s2" })
	sessions := []*lease.Session{newSession("a"), newSession("b")}
	var now atomic.Int64
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			draw := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 3000 {
				stream, id := fmt.Sprint("s", draw.IntN(5)), fmt.Sprintf("%d-%d", g+1, i)
				at := now.Add(int64(10 * time.Millisecond))
				switch draw.IntN(5) {
				case 0:
					l.Nudge(at, stream)
				case 1:
					l.Withdraw(stream, fmt.Sprintf("%d-%d", g+1, max(0, i-draw.IntN(10))))
				case 2:
					if draw.IntN(50) == 0 {
						l.Drop(sessions[draw.IntN(2)])
					}
				default:
					l.Park(at, sessions[draw.IntN(2)], entry(stream, id), heldByAnother, draw.Float64())
				}
			}
		})
	}
	group.Go(func() { // as the work of the partition
		draw := rand.New(rand.NewPCG(9, 9))
		verdicts := []lease.Verdict{lease.HeldByOne, lease.Acquired, lease.Gone}
		for range 3000 {
			at := now.Load()
			due := l.TakeDue(at, 0, 3, draw.IntN(4))
			for _, x := range due.Leave {
				_ = x.Entries[len(x.Entries)-1].ID
				l.Moved(at, x)
			}
			if draw.IntN(10) == 0 {
				l.Unanswered(at, 0, due.Ask, time.Millisecond, len(due.Ask) == 1)
				continue
			}
			l.Answered(0)
			for _, a := range due.Ask {
				l.Settle(at, a, lease.Take{Verdict: verdicts[draw.IntN(3)]}, draw.Float64())
			}
		}
	})
	group.Wait()
	for _, s := range sessions {
		l.Drop(s)
	}
	count, bytes := l.Size()
	require.Zero(t, count)
	require.Zero(t, bytes)
	require.Empty(t, l.mu.streams)
	require.Empty(t, l.mu.due[0])
}
