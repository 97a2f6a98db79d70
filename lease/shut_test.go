package lease

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shut marks a lease as shut.
func (w *harness) shut(consumer string, l *Lease) (mark string) {
	w.t.Helper()
	verdict, mark, err := w.store.Shut(w.ctx, 0, consumer, l, false)
	require.NoError(w.t, err)
	require.Equal(w.t, Kept, verdict)
	require.Equal(w.t, mark, w.parsed(l).Shut)
	return mark
}

// parsed is what the key of a lease holds.
func (w *harness) parsed(l *Lease) Value {
	w.t.Helper()
	v, err := ParseValue(w.Text("GET", l.Key()))
	require.NoError(w.t, err)
	return v
}

// ifShut is the Disposition that ends l only while it carries a mark.
func ifShut(l *Lease, mark string) Disposition {
	r := back(l)
	r.IfShut = mark
	return r
}

// untouched requires that l is held, and its entry pending for its owner.
func (w *harness) untouched(consumer string, l *Lease) {
	w.t.Helper()
	require.Equal(w.t, "k", w.renew(consumer, l).Verdicts)
	require.Contains(w.t, w.pendingIDs(consumer), l.Entry())
}

func TestShutAndDone(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	w.Do("PEXPIRE", l.Key(), "20000")
	mark := w.shut(alice, l)
	require.True(t, strings.HasPrefix(mark, "shut="), mark)
	require.NotContains(t, mark, " ")
	left := w.Num("PTTL", l.Key())
	require.Positive(t, left)
	require.LessOrEqual(t, left, 20_000, "its TTL stays")
	out := w.renew(alice, l)
	require.Equal(t, "k", out.Verdicts)
	require.Empty(t, out.Waiting, "the mark is no announcement")
	require.Equal(t, mark, w.parsed(l).Shut, "a renewal keeps it")
	require.Equal(t, "d", verdicts(w.done(alice, ifShut(l, mark))))
	require.Empty(t, w.Stream(w.keys.Input))
	require.Zero(t, w.Num("EXISTS", l.Key()))
}

func TestReopenedIsNotDone(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	mark := w.shut(alice, l)
	verdict, _, err := w.store.Shut(w.ctx, 0, alice, l, true)
	require.NoError(t, err)
	require.Equal(t, Kept, verdict)
	require.Empty(t, w.parsed(l).Shut)
	require.Equal(t, "y", verdicts(w.done(alice, ifShut(l, mark))))
	w.untouched(alice, l)
}

// Trace: done is asked, has no answer, and is delayed on its way. It is asked again and refused, since an older version noted a waiting
// entry in place of the mark. The owner goes on, and shuts the lease once more. Then the delayed call arrives: it must not end the lease
// of an owner that counts on being one. So does a delayed call of shut arrive before it.
func TestLateDoneOfAnEarlierAttemptIsRefused(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	late := w.shut(alice, l)
	w.Do("SET", l.Key(), ownedValue(alice, l.tag)+" 99-1", "XX", "KEEPTTL")
	require.Equal(t, "y", verdicts(w.done(alice, ifShut(l, late))))
	again := w.shut(alice, l)
	require.NotEqual(t, late, again)
	require.Equal(t, "y", verdicts(w.done(alice, ifShut(l, late))))
	w.untouched(alice, l)
	require.Equal(t, "99-1", w.parsed(l).Waiting, "what waits is noted still")
	delayed := w.shut(alice, l)
	require.Equal(t, "yy", verdicts(w.done(alice, ifShut(l, late), ifShut(l, again))))
	require.Equal(t, "d", verdicts(w.done(alice, ifShut(l, delayed))))
}

// Trace: the answer to done is lost, and the stream has been announced and is another's when it is asked again.
func TestDoneIfShutAskedAgainEndsNoOtherOwnership(t *testing.T) {
	for _, next := range []string{alice, bob} {
		w := newHarness(t)
		w.open(alice)
		w.open(bob)
		l := w.own(alice, "s")
		mark := w.shut(alice, l)
		require.Equal(t, "d", verdicts(w.done(alice, ifShut(l, mark))))
		require.Equal(t, "n", verdicts(w.done(alice, ifShut(l, mark))), "nothing is left of it")
		other := w.own(next, "s")
		w.shut(next, other)
		require.Equal(t, "n", verdicts(w.done(alice, ifShut(l, mark))))
		w.untouched(next, other)
	}
}

// Trace: an owner pauses between looking at its stream and done. Its lease expires, and another consumer gets the stream.
func TestDoneIfShutAfterALossEndsNothing(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	w.open(bob)
	l := w.own(alice, "s")
	mark := w.shut(alice, l)
	w.Do("DEL", l.Key())
	require.Equal(t, "y", verdicts(w.done(alice, ifShut(l, mark))), "unlike without a mark: it may have been forgotten with what followed")
	require.Equal(t, []string{l.Entry()}, w.pendingIDs(alice))
	verdict, _, err := w.store.Shut(w.ctx, 0, alice, l, false)
	require.NoError(t, err)
	require.Equal(t, Missing, verdict)
	other := w.own(bob, "s")
	verdict, _, err = w.store.Shut(w.ctx, 0, alice, l, false)
	require.NoError(t, err)
	require.Equal(t, Lost, verdict)
	require.Equal(t, "o", verdicts(w.done(alice, ifShut(l, mark))))
	w.untouched(bob, other)
	require.Empty(t, w.parsed(other).Shut)
}

// Trace: an announcement comes while the owner is leaving. It waits, and the mark stays: once done has freed the stream, it is handed out.
// In an older version it takes the place of the mark, and the owner begins again.
func TestAnnouncementThatWaitsKeepsTheMark(t *testing.T) {
	const now = `with_tail(holder.consumer .. ' ' .. holder.token .. ' ' .. holder.entry, id, holder.shut)`
	const before = `holder.consumer .. ' ' .. holder.token .. ' ' .. holder.entry .. ' ' .. id`
	for _, older := range []bool{false, true} {
		w := newHarness(t)
		if older {
			w.acquires = acquireWith(t, now, before)
		}
		w.open(alice)
		w.open(bob)
		l := w.own(alice, "s")
		mark := w.shut(alice, l)
		w.announce("s")
		e := w.read(bob, 1)[0]
		require.Equal(t, HeldByOne, w.acquire(bob, e)[0].Verdict)
		require.Equal(t, e.ID, w.parsed(l).Waiting)
		out := w.renew(alice, l)
		require.Equal(t, []int{0}, out.Waiting)
		if older {
			require.Empty(t, w.parsed(l).Shut)
			require.Equal(t, "y", verdicts(w.done(alice, ifShut(l, mark))))
			w.untouched(alice, l)
			continue
		}
		require.Equal(t, mark, w.parsed(l).Shut)
		require.Equal(t, "d", verdicts(w.done(alice, ifShut(l, mark))))
		w.take(bob, e)
	}
}

// Trace: a producer finds the lease shut and announces, and the server fails over to a replica that has the mark and not yet the
// announcement. Done on the new server would leave a message without either. The mark names the server that set it.
func TestMarkOfAnotherServerDoesNotCount(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	mark := w.shut(alice, l)
	stamp, _, _ := strings.Cut(mark, "@")
	other := stamp + "@" + strings.Repeat("0", 40)
	w.Do("SET", l.Key(), ownedValue(alice, l.tag)+" "+other, "XX", "KEEPTTL")
	require.Equal(t, "y", verdicts(w.done(alice, ifShut(l, other))))
	w.untouched(alice, l)
	require.Equal(t, "d", verdicts(w.done(alice, ifShut(l, w.shut(alice, l)))))
}

// With settling off nobody asks which server it is.
func TestShutWithoutSettling(t *testing.T) {
	w := newHarness(t, func(s *Settings) { s.Settle = false })
	w.open(alice)
	l := w.own(alice, "s")
	mark := w.shut(alice, l)
	require.True(t, strings.HasSuffix(mark, "@"), mark)
	require.Equal(t, "d", verdicts(w.done(alice, ifShut(l, mark))))
}

// Trace: a failover forgets the lease with its mark, and verify restores it, without.
func TestRestoredLeaseIsNotShut(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	mark := w.shut(alice, l)
	w.forget()
	require.True(t, w.beat(alice).Settling)
	w.Do("DEL", l.Key())
	verified, err := verdictsOf(w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{}))
	require.NoError(t, err)
	require.Equal(t, "k", verified)
	require.Equal(t, "y", verdicts(w.done(alice, ifShut(l, mark))))
	w.untouched(alice, l)
}

// One batch holds all kinds of items.
func TestDoneOfShutAndOtherLeases(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	a, b, c := w.own(alice, "a"), w.own(alice, "b"), w.own(alice, "c")
	mark := w.shut(alice, b)
	require.Equal(t, "ddy", verdicts(w.done(alice, back(a), ifShut(b, mark), ifShut(c, mark))))
	w.untouched(alice, c)
	require.Len(t, w.Stream(w.keys.Input), 1)
}

// A key of another type is no lease.
func TestShutOfAForeignKey(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	l := w.own(alice, "s")
	for value, want := range map[string]Verdict{"something else": Lost, "": Lost} {
		w.Do("SET", l.Key(), value)
		verdict, _, err := w.store.Shut(w.ctx, 0, alice, l, false)
		require.NoError(t, err)
		require.Equal(t, want, verdict)
		require.Equal(t, value, w.Text("GET", l.Key()))
	}
	w.Do("DEL", l.Key())
	w.Do("RPUSH", l.Key(), "x")
	verdict, _, err := w.store.Shut(w.ctx, 0, alice, l, false)
	require.NoError(t, err)
	require.Equal(t, Missing, verdict)
}
