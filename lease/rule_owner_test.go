package lease

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Trace: the answer to a done gets lost; the stream is announced again and owned again; the client asks its done again.

// It must not free the new ownership, whoever has it.
func TestRule01RetriedEndingsLeaveTheNextOwnershipAlone(t *testing.T) {
	for _, next := range []string{alice, bob} {
		t.Run(next, func(t *testing.T) {
			w := newHarness(t)
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
			kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{old}, Savings{}))
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
	w := newHarness(t)
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
	w := newHarness(t)
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
	w := newHarness(t)
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
			w := newHarness(t)
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
			kept, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
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

// acquired and requeued forever.
func TestRule09TrimmedBodyIsGoneAndFreesItsLease(t *testing.T) {
	bothAcquires(t, func(t *testing.T, w *harness) {
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
	w := newHarness(t)
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
