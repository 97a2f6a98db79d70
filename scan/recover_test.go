package scan

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: a process dies that held some streams, had read others, and had parked one that somebody else owns.
func TestRecoverGivesBackAllThatWasPending(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(bea, "bea's")
	for i := range 7 {
		w.announce(fmt.Sprint("held-", i), "mine", "kept")
	}
	w.own(dead, 7)
	w.announce("read")
	w.announce("bea's")
	w.read(dead, 2)
	w.kill(dead, time.Second)

	require.Equal(t, Recovered{Entries: 9, Scripts: 4, Removed: true}, w.recover(ann))
	require.Zero(t, w.pending(dead))
	require.NotContains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
	require.Empty(t, w.deadline(dead))
	require.Zero(t, w.Num("EXISTS", w.keys.Recover(dead)), "the claim is let go")
	require.Zero(t, w.Num("ZCARD", w.keys.Later), "a first crash costs no delay")
	require.Equal(t, 1, w.Num("EXISTS", w.keys.Lease("bea's")), "what somebody else holds stays held")
	for i := range 7 {
		require.Zero(t, w.Num("EXISTS", w.keys.Lease(fmt.Sprint("held-", i))))
	}
	entries := w.Stream(w.keys.Input)
	require.Len(t, entries, 10)
	for _, e := range entries[1:8] {
		require.Equal(t, "1", e.FieldValues[lease.FieldCrashes])
		require.Equal(t, "kept", e.FieldValues["mine"])
		require.Empty(t, e.FieldValues[lease.FieldRetries])
	}
	for _, e := range entries[8:] {
		require.Empty(t, e.FieldValues[lease.FieldCrashes], "never held")
	}
	require.Len(t, w.own(bea, 8), 8)
}

func TestRecoverTwiceAndLate(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	late := w.at(bea)
	items := w.lent(late)
	w.Do("DEL", w.keys.Recover(dead))
	require.Equal(t, 1, w.recover(ann).Entries)

	_, err := late.runRecover(w.ctx, items)
	require.ErrorIs(t, err, ErrNotMine, "its session is gone")
	left, err := late.sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left)
	_, err = w.store.Recover(w.ctx, 0, bea, dead)
	require.ErrorIs(t, err, ErrNotMine)
	require.Len(t, w.Stream(w.keys.Input), 1)
}

// A page is given back a second time when the answer to the first was lost.
func TestRecoverScriptIsHarmlessToRepeat(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.owned(dead, "t", "_crash_count", "3")
	w.owned(dead, "u", "_crash_count", "10")
	w.kill(dead, time.Minute)
	r := w.at(ann)
	items := w.lent(r)
	for _, s := range r.candidates {
		items = append(items, s.Disposition)
	}
	for i := range 2 {
		outcomes, err := r.runRecover(w.ctx, items)
		require.NoError(t, err)
		for _, o := range outcomes {
			require.Equal(t, i == 0, o.Verdict == lease.Moved)
			require.Equal(t, i == 1, o.Verdict == lease.NotPending)
		}
		require.Len(t, w.Stream(w.keys.Input), 1)
		require.Equal(t, 1, w.Num("ZCARD", w.keys.Later))
		require.Len(t, w.Stream(w.keys.DeadLetters), 1)
	}
}

// Trace: the recoverer stands still with half of it done. Its claim runs out, somebody else goes on, and when it wakes up
// it is told so.
func TestClaimKeepsOthersOffAndRunsOut(t *testing.T) {
	w := newWard(t).mortal()
	for i := range 5 {
		w.announce(fmt.Sprint(i))
	}
	w.own(dead, 5)
	w.kill(dead, time.Minute)
	slow := w.at(ann)
	items := w.lent(slow)
	require.Len(t, items, 3)
	require.LessOrEqual(t, w.Num("PTTL", w.keys.Recover(dead)), int(ClaimTime.Milliseconds()))
	_, err := w.store.Recover(w.ctx, 0, bea, dead)
	require.ErrorIs(t, err, ErrBusy)
	require.Equal(t, 5, w.pending(dead))

	half := int(ClaimTime.Milliseconds() / 2)
	w.Do("PEXPIRE", w.keys.Recover(dead), fmt.Sprint(half))
	_, err = slow.runRecover(w.ctx, items[:1])
	require.NoError(t, err)
	require.Greater(t, w.Num("PTTL", w.keys.Recover(dead)), half, "each page extends it")

	w.Do("DEL", w.keys.Recover(dead))
	_, err = slow.runRecover(w.ctx, items)
	require.ErrorIs(t, err, ErrBusy, "a claim that has run out is not taken up again by itself")
	require.Equal(t, 4, w.recover(bea).Entries)
	_, err = slow.page(w.ctx, "-")
	require.ErrorIs(t, err, ErrNotMine)
}

// Trace: a consumer is listed as dead, and then it turns out that everybody was cut off: its deadline is moved before the
// page that was read is given back.
func TestConsumerThatIsAliveAgainIsNotRobbed(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	r := w.at(ann)
	items := w.lent(r)
	w.score(dead, strconv.FormatInt(w.Now()+5000, 10))
	_, err := r.runRecover(w.ctx, items)
	require.ErrorIs(t, err, ErrNotMine)
	left, err := r.sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left)
	require.Equal(t, 1, w.pending(dead))
	require.Contains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
	_, err = w.store.Recover(w.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrNotMine)
}

// The same with a partition that begins to settle half-way.
func TestRecoveryStopsWhenThePartitionSettles(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	r := w.at(ann)
	items := w.lent(r)
	w.forget()
	_, err := r.runRecover(w.ctx, items)
	require.ErrorIs(t, err, ErrNotMine)
	require.Equal(t, 1, w.pending(dead))
}

// What ended on purpose, or was adopted, has crashed nobody, however often the streams' owners died before.
func TestRecoveringTheClosedAndTheAdoptedCountsNothing(t *testing.T) {
	for name, score := range map[string]string{"closed": "0", "adopted": "1000.5"} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t).mortal()
			w.owned(dead, "s", "_crash_count", "10", "_retry_count", "2")
			w.score(dead, score)
			require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, w.recover(ann))
			e := w.Stream(w.keys.Input)[0]
			require.Equal(t, "10", e.FieldValues[lease.FieldCrashes])
			require.Equal(t, "2", e.FieldValues[lease.FieldRetries])
		})
	}
}

// Trace: a process dies between reading an announcement and putting it off until the time its producer set. The copy did
// not carry that time, and the stream was handed out at once.
func TestWhatWasReadBeforeItsTimeStillWaits(t *testing.T) {
	w := newWard(t).mortal()
	at := w.Now() + 3_600_000
	w.announce("tomorrow", "_not_before", strconv.FormatInt(at, 10))
	w.announce("yesterday", "_not_before", "150000000000")
	w.read(dead, 2)
	w.kill(dead, time.Minute)
	require.Equal(t, 2, w.recover(ann).Entries)
	later, err := w.Try("ZRANGE", w.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	require.Len(t, later, 1)
	require.EqualValues(t, at, later[0].Score)
	require.Contains(t, later[0].Member, "tomorrow")
	require.Len(t, w.Stream(w.keys.Input), 1)
}

// An entry of another partition, read here and not yet forwarded, goes back to where it was read.
func TestStrangeEntryGoesBackHere(t *testing.T) {
	w := newWard(t).mortal()
	w.announce("s")
	w.read(dead, 1)
	w.kill(dead, time.Minute)
	require.Equal(t, 1, w.recover(ann).Entries)
	require.Len(t, w.Stream(w.keys.Input), 1)
}

// Trace: the dead one's lease was taken over by somebody else under another entry; freeing it would make two owners.
func TestLeaseOfSomebodyElseIsNotFreed(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.Do("DEL", w.keys.Lease("s"))
	w.owned(bea, "s")
	w.kill(dead, time.Minute)
	require.Equal(t, 1, w.recover(ann).Entries)
	require.Contains(t, w.Text("GET", w.keys.Lease("s")), bea)
}

// Each recovery costs pages, however large: 2 scripts a page, and 2 at the end.
func TestRecoveryCostsPages(t *testing.T) {
	w := newWard(t, func(s *Settings) { s.Page = 100 }).mortal()
	for i := range 1000 {
		w.announce(fmt.Sprint(i))
	}
	w.score(ann, strconv.FormatInt(w.Now()+time.Hour.Milliseconds(), 10)) // XADDs may take longer than a session
	w.score(dead, strconv.FormatInt(w.Now()+time.Hour.Milliseconds(), 10))
	w.own(dead, 500)
	w.read(dead, 500)
	w.kill(dead, time.Minute)
	before, err := w.server.CommandStats(w.ctx)
	require.NoError(t, err)
	require.Equal(t, Recovered{Entries: 1000, Scripts: 10, Removed: true}, w.recover(ann))
	after, err := w.server.CommandStats(w.ctx)
	require.NoError(t, err)
	scripts := func(name string) int64 { return after[name].Calls - before[name].Calls }
	// EVAL stands for the first run of a script.
	require.EqualValues(t, 3, scripts("eval"))
	require.EqualValues(t, 2*10+2, scripts("evalsha"))
}

// A process that is restarted ever more slowly has its predecessor's deadline moved by the time in which nobody beat. How long
// ago that one was at work, the server knows.
func TestRecoveryTellsWhenTheDeadWasSeenLast(t *testing.T) {
	w := newWard(t).mortal()
	w.announce("s")
	w.read(dead, 1)
	seen := func() time.Duration {
		r := w.at(ann)
		orphans, err := r.page(w.ctx, "-")
		require.NoError(t, err)
		require.Len(t, orphans, 1)
		return r.end.seen
	}
	w.kill(dead, time.Second)
	first := seen()
	require.Eventually(t, func() bool { return seen() >= first+20*time.Millisecond }, 10*time.Second, 10*time.Millisecond)
}
