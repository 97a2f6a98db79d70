package lease

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// Trace: the answer to a done gets lost; the stream is announced again and owned again; the client asks its done again.
// It must not free the new ownership, whoever has it.
func TestRule01RetriedEndingsLeaveTheNextOwnershipAlone(t *testing.T) {
	for _, next := range []string{alice, bob} {
		t.Run(next, func(t *testing.T) {
			w := newWorld(t)
			w.open(alice)
			w.open(bob)
			old := w.own(alice, "s")
			require.Equal(t, "d", verdicts(w.done(alice, back(old))))
			l := w.own(next, "s")
			value := w.value("s")

			require.Equal(t, "n", verdicts(w.done(alice, back(old))))
			require.Equal(t, "n", verdicts(w.requeue(alice, back(old))))
			anyToken := back(old)
			anyToken.Token = AnyToken
			require.Equal(t, "n", verdicts(w.requeue(alice, anyToken)))
			require.Equal(t, "l", w.renew(alice, old).Verdicts)
			require.Equal(t, []Verdict{Lost}, w.store.Extend(w.ctx, alice, []*Lease{old}))
			kept, err := w.store.Verify(w.ctx, 0, alice, []*Lease{old})
			require.NoError(t, err)
			require.Equal(t, "l", kept)

			require.Equal(t, value, w.value("s"))
			require.Equal(t, "k", w.renew(next, l).Verdicts)
		})
	}
}

// Trace: the answer to an acquisition gets lost, the entry is acquired again under a new token, and an ending meant for
// the first ownership arrives: consumer and entry are the same, only the token tells them apart.
func TestRule01OldTokenOfTheSameEntryEndsNothing(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	first := w.own(alice, "s")
	e := &Entry{ID: first.Entry(), Key: first.Key(), Stream: "s"}
	second := w.take(alice, e)
	require.Greater(t, second.Token(), first.Token())
	value := w.value("s")

	require.Equal(t, "o", verdicts(w.done(alice, back(first))))
	require.Equal(t, "o", verdicts(w.requeue(alice, back(first))))
	require.Equal(t, "l", w.renew(alice, first).Verdicts)
	require.Equal(t, []Verdict{Lost}, w.store.Extend(w.ctx, alice, []*Lease{first}))
	require.Equal(t, value, w.value("s"))
	require.Equal(t, []string{first.Entry()}, w.pendingIDs(alice))
	require.Equal(t, "d", verdicts(w.done(alice, back(second))))
}

// Trace: a token is a prefix of another one ("17" and "170"), or an entry ID of another ID. Comparing values by prefix
// alone takes one for the other.
func TestRule01AFieldThatIsAPrefixOfAnotherDoesNotMatch(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	l := w.own(alice, "s")
	longer := &Lease{key: l.key, tag: l.tag + "0"}
	shorter := &Lease{key: l.key, tag: l.tag[:len(l.tag)-1]}
	require.Equal(t, "ll", w.renew(alice, longer, shorter).Verdicts)
	require.Equal(t, []Verdict{Lost, Lost}, w.store.Extend(w.ctx, alice, []*Lease{longer, shorter}))
	require.Equal(t, "k", w.renew(alice, l).Verdicts)
}

// Trace: a stream is disowned because an answer got lost, its entry still pending here and its lease still ours. It is
// re-queued under whatever token, counts no retry, and the next ownership has a greater token.
func TestRule04DisownedStreamIsRequeuedAndCountsNothing(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	w.open(bob)
	l := w.own(alice, "s")
	r := back(l)
	r.Token = AnyToken
	require.Equal(t, "m", verdicts(w.requeue(alice, r)))
	require.Empty(t, w.value("s"))
	require.Empty(t, w.pendingIDs(alice))

	entries := w.read(bob, 10)
	require.Len(t, entries, 1)
	require.Zero(t, entries[0].Retries)
	require.Zero(t, entries[0].Crashes)
	require.Len(t, entries[0].Body, 1)
	require.Greater(t, w.take(bob, entries[0]).Token(), l.Token())
}

// Trace: a consumer's host sleeps through its deadline and wakes before anybody has recovered it. Going on would be two
// owners as soon as somebody does.
func TestRule06PastSessionIsLostThoughNobodyRecoveredIt(t *testing.T) {
	for name, score := range map[string]int64{"past": 1, "closed": 0} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.open(alice)
			l := w.own(alice, "s")
			w.announce("other")
			entries := w.read(alice, 1)
			w.Do("PEXPIRE", l.Key(), "5000")
			w.setScore(alice, score)

			require.Equal(t, SessionLost, w.beat(alice).Status)
			require.Equal(t, SessionLost, w.open(alice).Status)
			r := w.renew(alice, l)
			require.Equal(t, SessionLost, r.Status)
			require.Empty(t, r.Verdicts)
			require.Equal(t, Lost, r.Verdict(0))
			status, takes, err := w.store.Acquire(w.ctx, 0, alice, entries)
			require.NoError(t, err)
			require.Equal(t, SessionLost, status)
			require.Empty(t, takes)
			kept, err := w.store.Verify(w.ctx, 0, alice, []*Lease{l})
			require.NoError(t, err)
			require.Empty(t, kept)

			require.LessOrEqual(t, w.pttl(l.Key()), 5*time.Second)
			got, ok := w.deadline(alice)
			require.True(t, ok)
			require.Equal(t, score, got)
			require.Equal(t, 1, w.beat(bob).Dead)
		})
	}
}

// Trace: somebody trims the input stream (MAXLEN, XDEL). The pending entry can never be read again; kept, it would be
// acquired and re-queued for ever.
func TestRule09TrimmedBodyIsGoneAndFreesItsLease(t *testing.T) {
	bothAcquires(t, func(t *testing.T, w *world) {
		w.open(alice)
		w.open(bob)
		held := w.own(alice, "held")
		again := w.own(alice, "again")
		foreign := w.own(bob, "foreign")
		w.announce("read")
		w.announce("foreign")
		read := w.read(alice, 10)
		require.Len(t, read, 2)
		w.Do("XTRIM", w.keys.Input, "MAXLEN", "0")

		takes := w.acquire(alice, read[0], read[1], &Entry{ID: again.Entry(), Key: again.Key()})
		for _, take := range takes {
			require.Equal(t, Gone, take.Verdict)
		}
		require.Equal(t, "g", verdicts(w.requeue(alice, back(held))))
		require.Empty(t, w.pendingIDs(alice))
		require.Empty(t, w.value("held"))
		require.Empty(t, w.value("again"))
		require.Equal(t, "k", w.renew(bob, foreign).Verdicts, "a lease that is another entry's stays")
		require.Equal(t, "d", verdicts(w.done(bob, back(foreign))), "who finished needs no body")
		require.Equal(t, "n", verdicts(w.requeue(alice, back(held))))
	})
}

// Trace: looking at the own pending list with XREADGROUP … 0 resets idle times and counts, so that recovery takes held
// entries for fresh ones and a crash loop for first attempts.
func TestRule14LookingAtPendingChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	for i := range 5 {
		w.announce("s" + strconv.Itoa(i))
	}
	read := w.read(alice, 5)
	for _, e := range read {
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), alice, "0", e.ID, "IDLE", "600000", "RETRYCOUNT", "7", "JUSTID")
	}
	w.Do("XDEL", w.keys.Input, read[4].ID)
	var seen []string
	for after := ""; ; {
		page, err := w.store.Pending(w.ctx, 0, alice, after, 2, time.Minute)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			require.GreaterOrEqual(t, p.Idle, 10*time.Minute)
			require.Equal(t, 7, p.Deliveries)
			require.Equal(t, p.ID == read[4].ID, p.Gone)
			seen, after = append(seen, p.ID), p.ID
		}
	}
	require.Equal(t, w.pendingIDs(alice), seen)
	page, err := w.store.Pending(w.ctx, 0, alice, "", 10, 11*time.Minute+time.Hour)
	require.NoError(t, err)
	require.Empty(t, page, "not idle for so long")
	page, err = w.store.Pending(w.ctx, 0, alice, "", 10, 10*time.Minute)
	require.NoError(t, err)
	require.Len(t, page, 5, "the look before reset nothing")
}

// Trace: XGROUP DELCONSUMER destroys what is pending for the consumer.
func TestRule15CloseRemovesTheConsumerOnlyWhenNothingIsPending(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	l := w.own(alice, "s")
	for range 2 {
		left, err := w.store.Close(w.ctx, 0, alice)
		require.NoError(t, err)
		require.Equal(t, 1, left)
		score, ok := w.deadline(alice)
		require.True(t, ok)
		require.Zero(t, score)
		require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
	}
	require.Equal(t, 1, w.beat(bob).Dead, "closed with something left: to be recovered at once")
	require.Equal(t, SessionLost, w.beat(alice).Status, "a late beat revives nothing")
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l))))
	for range 2 {
		left, err := w.store.Close(w.ctx, 0, alice)
		require.NoError(t, err)
		require.Zero(t, left)
		_, ok := w.deadline(alice)
		require.False(t, ok)
	}
	require.Empty(t, w.Consumers(w.keys.Input, w.layout.Group()))
	left, err := w.store.Close(w.ctx, 0, "nobody.1")
	require.NoError(t, err)
	require.Zero(t, left)
	_, ok := w.deadline("nobody.1")
	require.False(t, ok, "closing makes no session")
}

// Trace: the answer to a done gets lost and it is asked again. "Not pending" is then our own success, if nobody else can
// have had the stream meanwhile, which only the caller's deadlines know: so it is an answer of its own.
func TestRule18DoneAskedAgainSaysNotPending(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	a, b := w.own(alice, "a"), w.own(alice, "b")
	require.Equal(t, "d", verdicts(w.done(alice, back(a))))
	require.Equal(t, "nd", verdicts(w.done(alice, back(a), back(b))))
	require.Equal(t, "nn", verdicts(w.done(alice, back(a), back(b))))
	require.Empty(t, w.Stream(w.keys.Input))
}

// Trace: the lease vanished (it expired while its owner could not renew, though its session lived) and nobody has taken
// the stream: the entry is still pending for its owner, who may end it.
func TestDoneWithAFreeLeaseEndsTheEntry(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.Do("DEL", l.Key())
	require.Equal(t, "d", verdicts(w.done(alice, back(l))))
	require.Empty(t, w.Stream(w.keys.Input))
}

// Trace: as above, but another announcement of the stream was acquired by bob meanwhile.
func TestDoneUnderAnothersLeaseIsRefused(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	w.open(bob)
	l := w.own(alice, "s")
	w.Do("DEL", l.Key())
	other := w.own(bob, "s")
	require.Equal(t, "o", verdicts(w.done(alice, back(l))))
	require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
	require.Equal(t, "m", verdicts(w.requeue(alice, back(l))), "but it may be given back")
	require.Equal(t, "k", w.renew(bob, other).Verdicts)
}

// A second announcement of a held stream is told to its owner, the newest one, and comparisons do not see it.
func TestWaitingEntryIsAHintInTheLease(t *testing.T) {
	w := newWorld(t)
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
		require.Equal(t, alice+" "+formatToken(l.Token()), take.Holder)
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

// An entry is not handed out before its time by the server's clock.
func TestEarlyEntryIsNotTaken(t *testing.T) {
	w := newWorld(t)
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
	w := newWorld(t)
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
// lease written from what was read before would name an owner for ever, without a TTL.
func TestEntriesOfOneStreamInOneBatch(t *testing.T) {
	bothAcquires(t, func(t *testing.T, w *world) {
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
		require.Equal(t, alice+" "+formatToken(takes[1].Token), takes[2].Holder)
		require.Equal(t, entries[2].ID, strings.Fields(w.value("s"))[3])
		seen := w.deliveries(alice)
		require.Equal(t, HeldDeliveries, seen[entries[3].ID])
		require.Equal(t, 1, seen[entries[4].ID], "what could not be taken does not look as if it had been")
	})
}

// Trace: a server says that it is one which drops what has no body, and leaves out of its answer what has one. Taken for
// gone, the entry would be acknowledged, and lost.
func TestEntryThatXCLAIMLeavesOutIsNotAcknowledged(t *testing.T) {
	w := newWorld(t)
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
	everyServer(t, func(t *testing.T, w *world) {
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
		require.Zero(t, stats["xrange"].Calls)
		require.EqualValues(t, 2*n+1, stats["xclaim"].Calls)
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
	bothAcquires(t, func(t *testing.T, w *world) {
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
