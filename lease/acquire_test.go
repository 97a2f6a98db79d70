package lease

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// The owner of a held stream is notified of a second announcement, the newest one, and comparisons ignore it.
func TestWaitingEntryIsAHintInTheLease(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	l := w.own(alice, "s")
	w.Do("PEXPIRE", l.Key(), "20000")
	w.announce("s")
	w.announce("s")
	entries := w.read(bob, 10)
	require.Len(t, entries, 2)
	takes := w.acquire(bob, entries[1], entries[0])
	for _, take := range takes {
		require.Equal(t, HeldByOne, take.Verdict)
		require.Equal(t, alice+" "+l.Token().String(), take.Holder)
		require.InDelta(t, 20*time.Second, take.Left, float64(10*time.Second))
	}
	require.Less(t, w.pttl(l.Key()), 21*time.Second, "the hint keeps the TTL")
	r := w.renew(alice, l)
	require.Equal(t, "k", r.Verdicts)
	require.Equal(t, []int{0}, r.Waiting)
	require.Equal(t, []Verdict{Kept}, w.store.Extend(w.ctx, alice, []*Lease{l}))
	require.Equal(t, "d", verdicts(w.done(alice, back(l))))
	require.Greater(t, w.take(bob, entries[0]).Token(), l.Token())
	require.Equal(t, HeldByOne, w.acquire(bob, entries[1])[0].Verdict, "each announcement has its turn")
}

// Trace: the group is made again, and somebody else reads what its owner has. It hears so, the owner is not asked to make way for its
// own entry, and gets it back.
func TestEntryThatItsOwnerHas(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	l := w.own(alice, "s")
	w.Do("XGROUP", "DESTROY", w.keys.Input, w.layout.Group())
	w.open(bob)
	entries := w.read(bob, 10)
	require.Len(t, entries, 1)
	require.Equal(t, l.Entry(), entries[0].ID)
	value := w.Text("GET", l.Key())
	take := w.acquire(bob, entries...)[0]
	require.Equal(t, HeldByOne, take.Verdict)
	require.True(t, take.Own)
	require.Equal(t, alice+" "+l.Token().String(), take.Holder)
	require.Equal(t, value, w.Text("GET", l.Key()))
	w.announce("s")
	take = w.acquire(bob, w.read(bob, 1)...)[0]
	require.Equal(t, HeldByOne, take.Verdict)
	require.False(t, take.Own, "another announcement waits")
	require.Equal(t, []int{0}, w.renew(alice, l).Waiting)
}

// An entry is not handed out before its time by the server's clock.
func TestEarlyEntryIsNotTaken(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.announce("s", FieldNotBefore, strconv.FormatInt(w.Now()+aged.Milliseconds(), 10))
	e := w.read(alice, 1)[0]
	take := w.acquire(alice, e)[0]
	require.Equal(t, Early, take.Verdict)
	require.InDelta(t, aged, take.Left, float64(time.Minute))
	require.Empty(t, w.value("s"))
	e.NotBefore = w.Now() - 1
	require.Equal(t, Acquired, w.acquire(alice, e)[0].Verdict)
}

// Somebody else has the entry: it was recovered while this consumer slept.
func TestEntryOfAnotherIsNotTouched(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	w.announce("s")
	e := w.read(alice, 1)[0]
	r := Disposition{Key: e.Key, Entry: e.ID, Dest: ToInput, Retries: KeepCount, Crashes: KeepCount}
	require.Equal(t, NotPending, w.acquire(bob, e)[0].Verdict)
	require.Equal(t, "n", verdicts(w.done(bob, r)))
	require.Equal(t, "n", verdicts(w.requeue(bob, r)))
	require.Equal(t, []string{e.ID}, w.pendingIDs(alice))
	require.Equal(t, api.Token(0), w.acquire(bob, e)[0].Token)
	require.Empty(t, w.value("s"))
}

// Trace: entries of one stream come in one batch, and what the first does to the lease changes what the second finds: a

// lease written from what was read before would name an owner forever, without a TTL.
func TestEntriesOfOneStreamInOneBatch(t *testing.T) {
	bothAcquires(t, func(t *testing.T, w *harness) {
		w.open(alice)
		held := w.own(alice, "s")
		for range 3 {
			w.announce("s")
		}
		for range 2 {
			w.announce("free")
		}
		entries := w.read(alice, 5)
		gone := &Entry{ID: held.Entry(), Key: held.Key(), Stream: "s"}
		w.Do("XDEL", w.keys.Input, held.Entry())

		takes := w.acquire(alice, gone, entries[0], entries[1], entries[2], entries[3], entries[4])
		var got string
		for _, take := range takes {
			got += string(rune(take.Verdict))
		}
		require.Equal(t, "gahhah", got)
		for i, e := range map[int]*Entry{1: entries[0], 4: entries[3]} {
			l := w.lease(alice, e, takes[i].Token)
			require.Positive(t, w.pttl(e.Key))
			r := w.renew(alice, l)
			require.Equal(t, "k", r.Verdicts)
			require.Len(t, r.Waiting, 1)
		}
		require.Equal(t, alice+" "+takes[1].Token.String(), takes[2].Holder)
		require.Equal(t, entries[2].ID, strings.Fields(w.value("s"))[3])
		seen := w.deliveries(alice)
		require.Equal(t, HeldDeliveries, seen[entries[3].ID])
		require.Equal(t, 1, seen[entries[4].ID], "what could not be taken does not look as if it had been")
	})
}

// Trace: a server says that it is one which drops what has no body, and leaves out of its answer what has one. Taken for

// gone, the entry would be acknowledged, and lost.
func TestEntryThatXCLAIMLeavesOutIsNotAcknowledged(t *testing.T) {
	w := newHarness(t)
	w.acquires = acquireWith(t, "local marked = mark(free, HELD)", "mark(free, HELD) local marked = {}")
	w.open(alice)
	w.announce("s")
	w.announce("gone")
	read := w.read(alice, 2)
	w.Do("XDEL", w.keys.Input, read[1].ID)
	takes := w.acquire(alice, read...)
	require.Equal(t, Refused, takes[0].Verdict)
	require.Contains(t, takes[0].Reason, read[0].ID)
	require.Equal(t, Gone, takes[1].Verdict)
	require.Equal(t, []string{read[0].ID}, w.pendingIDs(alice))
	require.Empty(t, w.value("s"))
	w.acquires = scriptAcquire
	w.take(alice, read[0])
}

// What waits for a stream that is held, or for its time, is asked for again and again, and is not read for that: only

// whether it has a body counts. It stays pending as it was. What is free costs no more than one XCLAIM for all of it.

//

// Each poll read the bodies of all that it asked for: 128 entries of 2 MiB held the server up for half a second.
func TestAcquireReadsNoBodies(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		w.open(bob)
		const n = 5
		var held []*Lease
		for i := range n {
			held = append(held, w.own(alice, "s"+strconv.Itoa(i)))
		}
		for i := range n {
			w.announce("s"+strconv.Itoa(i), "much", strings.Repeat("x", 10_000))
			w.announce("early"+strconv.Itoa(i), FieldNotBefore, strconv.FormatInt(w.Now()+aged.Milliseconds(), 10))
		}
		entries := w.read(bob, 2*n)
		// Delivered long ago, and not all at once.
		for i, e := range entries {
			w.Do("XCLAIM", w.keys.Input, w.layout.Group(), bob, "0", e.ID, "IDLE", strconv.Itoa(1000_000*(i+1)), "RETRYCOUNT", "1", "JUSTID")
		}
		w.announce("free")
		w.announce("free as well")
		free := w.read(bob, 2)
		w.Do("CONFIG", "RESETSTAT")
		for i, take := range w.acquire(bob, append(entries, free...)...) {
			want := []Verdict{HeldByOne, Early}[i%2]
			if i >= 2*n {
				want = Acquired
			}
			require.Equal(t, want, take.Verdict)
		}
		stats, err := w.server.CommandStats(w.ctx)
		require.NoError(t, err)
		if redisOf(w) >= 7 { // before, only a read tells whether there is a body
			require.Zero(t, stats["xrange"].Calls)
			require.EqualValues(t, 2*n+1, stats["xclaim"].Calls)
		}
		page, err := w.store.Pending(w.ctx, 0, bob, "", 100, 0)
		require.NoError(t, err)
		require.Len(t, page, 2*n+2)
		for i, x := range page[:2*n] {
			idle := time.Duration(1000_000*(i+1)) * time.Millisecond
			require.Equal(t, entries[i].ID, x.ID)
			require.Equal(t, 1, x.Deliveries)
			require.GreaterOrEqual(t, x.Idle, idle)
			require.Less(t, x.Idle, idle+900*time.Second)
		}

		// Without a body each ends, and the owner's lease does not.
		w.Do("XDEL", w.keys.Input, entries[0].ID, entries[1].ID)
		takes := w.acquire(bob, entries...)
		require.Equal(t, []Verdict{Gone, Gone, HeldByOne}, []Verdict{takes[0].Verdict, takes[1].Verdict, takes[2].Verdict})
		require.Len(t, w.pendingIDs(bob), 2*n)
		require.Equal(t, strings.Repeat("k", n), w.renew(alice, held...).Verdicts)
	})
}

// Entries far apart, in no order, with others of ours between them: each is still looked up.
func TestAcquireOfScatteredEntries(t *testing.T) {
	bothAcquires(t, func(t *testing.T, w *harness) {
		w.open(alice)
		for i := range 100 {
			w.announce("s" + strconv.Itoa(i))
		}
		entries := w.read(alice, 100)
		var some []*Entry
		for _, i := range []int{90, 3, 50, 99, 0, 51, 7} {
			some = append(some, entries[i])
		}
		for _, take := range w.acquire(alice, some...) {
			require.Equal(t, Acquired, take.Verdict)
		}
		marked := 0
		for _, n := range w.deliveries(alice) {
			if n == HeldDeliveries {
				marked++
			}
		}
		require.Equal(t, len(some), marked, "those that were taken are marked as held, no others")
		require.Empty(t, w.acquire(alice))
	})
}
