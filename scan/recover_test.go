package scan

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: a process dies that held some streams, had read others, and had parked one that another consumer owns.
func TestRecoverRequeuesEverythingPending(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(bea, "bea's")
	for i := range 7 {
		h.announce(fmt.Sprint("held-", i), "mine", "kept")
	}
	h.own(dead, 7)
	h.announce("read")
	h.announce("bea's")
	h.read(dead, 2)
	h.kill(dead, time.Second)

	require.Equal(t, Recovered{Entries: 9, Scripts: 4, Removed: true}, h.recover(ann))
	require.Zero(t, h.pending(dead))
	require.NotContains(t, h.Consumers(h.keys.Input, h.layout.Group()), dead)
	require.Empty(t, h.deadline(dead))
	require.Zero(t, h.Num("EXISTS", h.keys.Recover(dead)), "the claim is let go")
	require.Zero(t, h.Num("ZCARD", h.keys.Later), "a first crash costs no delay")
	require.Equal(t, 1, h.Num("EXISTS", h.keys.Lease("bea's")), "what somebody else holds stays held")
	for i := range 7 {
		require.Zero(t, h.Num("EXISTS", h.keys.Lease(fmt.Sprint("held-", i))))
	}
	entries := h.Stream(h.keys.Input)
	require.Len(t, entries, 10)
	for _, e := range entries[1:8] {
		require.Equal(t, "1", e.FieldValues[lease.FieldCrashes])
		require.Equal(t, "kept", e.FieldValues["mine"])
		require.Empty(t, e.FieldValues[lease.FieldRetries])
	}
	for _, e := range entries[8:] {
		require.Empty(t, e.FieldValues[lease.FieldCrashes], "never held")
	}
	require.Len(t, h.own(bea, 8), 8)
}

func TestRecoverTwiceAndLate(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.kill(dead, time.Minute)
	late := h.recovery(bea)
	items := h.items(late)
	h.Do("DEL", h.keys.Recover(dead))
	require.Equal(t, 1, h.recover(ann).Entries)

	_, err := late.runRecover(h.ctx, items)
	require.ErrorIs(t, err, ErrNotMine, "its session is gone")
	left, err := late.sweep(h.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left)
	_, err = h.store.Recover(h.ctx, 0, bea, dead)
	require.ErrorIs(t, err, ErrNotMine)
	require.Len(t, h.Stream(h.keys.Input), 1)
}

// A page is requeued a second time when the answer to the first call was lost.
func TestRecoverScriptIsHarmlessToRepeat(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.owned(dead, "t", "_crash_count", "3")
	h.owned(dead, "u", "_crash_count", "10")
	h.kill(dead, time.Minute)
	r := h.recovery(ann)
	items := h.items(r)
	for _, s := range r.candidates {
		items = append(items, s.Disposition)
	}
	for i := range 2 {
		outcomes, err := r.runRecover(h.ctx, items)
		require.NoError(t, err)
		for _, o := range outcomes {
			require.Equal(t, i == 0, o.Verdict == lease.Moved)
			require.Equal(t, i == 1, o.Verdict == lease.NotPending)
		}
		require.Len(t, h.Stream(h.keys.Input), 1)
		require.Equal(t, 1, h.Num("ZCARD", h.keys.Later))
		require.Len(t, h.Stream(h.keys.DeadLetters), 1)
	}
}

// Trace: the recoverer stalls half-way. Its claim expires, another one continues, and the first one learns so when it wakes up.
func TestClaimKeepsOthersOffAndRunsOut(t *testing.T) {
	h := newHarness(t).withDead()
	for i := range 5 {
		h.announce(fmt.Sprint(i))
	}
	h.own(dead, 5)
	h.kill(dead, time.Minute)
	slow := h.recovery(ann)
	items := h.items(slow)
	require.Len(t, items, 3)
	require.LessOrEqual(t, h.Num("PTTL", h.keys.Recover(dead)), int(ClaimTime.Milliseconds()))
	_, err := h.store.Recover(h.ctx, 0, bea, dead)
	require.ErrorIs(t, err, ErrBusy)
	require.Equal(t, 5, h.pending(dead))

	half := int(ClaimTime.Milliseconds() / 2)
	h.Do("PEXPIRE", h.keys.Recover(dead), fmt.Sprint(half))
	_, err = slow.runRecover(h.ctx, items[:1])
	require.NoError(t, err)
	require.Greater(t, h.Num("PTTL", h.keys.Recover(dead)), half, "each page extends it")

	h.Do("DEL", h.keys.Recover(dead))
	_, err = slow.runRecover(h.ctx, items)
	require.ErrorIs(t, err, ErrBusy, "a claim that has run out is not taken up again by itself")
	require.Equal(t, 4, h.recover(bea).Entries)
	_, err = slow.page(h.ctx, "-")
	require.ErrorIs(t, err, ErrNotMine)
}

// Trace: a consumer is listed as dead, and then it turns out that the whole fleet was cut off: its deadline is moved before the
// page that was read is requeued.
func TestConsumerThatIsAliveAgainKeepsItsEntries(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.kill(dead, time.Minute)
	r := h.recovery(ann)
	items := h.items(r)
	h.score(dead, strconv.FormatInt(h.Now()+5000, 10))
	_, err := r.runRecover(h.ctx, items)
	require.ErrorIs(t, err, ErrNotMine)
	left, err := r.sweep(h.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left)
	require.Equal(t, 1, h.pending(dead))
	require.Contains(t, h.Consumers(h.keys.Input, h.layout.Group()), dead)
	_, err = h.store.Recover(h.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrNotMine)
}

// The same with a partition that begins to settle half-way.
func TestRecoveryStopsWhenThePartitionSettles(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.kill(dead, time.Minute)
	r := h.recovery(ann)
	items := h.items(r)
	h.forget()
	_, err := r.runRecover(h.ctx, items)
	require.ErrorIs(t, err, ErrNotMine)
	require.Equal(t, 1, h.pending(dead))
}

// A consumer that closed, or was adopted, counts no crash, however often the streams' owners died before.
func TestRecoveringTheClosedAndTheAdoptedCountsNothing(t *testing.T) {
	for name, score := range map[string]string{"closed": "0", "adopted": "1000.5"} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t).withDead()
			h.owned(dead, "s", "_crash_count", "10", "_retry_count", "2")
			h.score(dead, score)
			require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, h.recover(ann))
			e := h.Stream(h.keys.Input)[0]
			require.Equal(t, "10", e.FieldValues[lease.FieldCrashes])
			require.Equal(t, "2", e.FieldValues[lease.FieldRetries])
		})
	}
}

// Trace: a process dies between reading an announcement and delaying it until the time that its producer set. The copy did not
// carry that time, and the stream was handed out at once.
func TestWhatWasReadBeforeItsTimeStillWaits(t *testing.T) {
	h := newHarness(t).withDead()
	at := h.Now() + 3_600_000
	h.announce("tomorrow", "_not_before", strconv.FormatInt(at, 10))
	h.announce("yesterday", "_not_before", "150000000000")
	h.read(dead, 2)
	h.kill(dead, time.Minute)
	require.Equal(t, 2, h.recover(ann).Entries)
	later, err := h.Try("ZRANGE", h.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	require.Len(t, later, 1)
	require.EqualValues(t, at, later[0].Score)
	require.Contains(t, later[0].Member, "tomorrow")
	require.Len(t, h.Stream(h.keys.Input), 1)
}

// An entry of another partition that was read here and not forwarded yet is requeued where it was read.
func TestMisroutedEntryIsRequeuedHere(t *testing.T) {
	h := newHarness(t).withDead()
	h.announce("s")
	h.read(dead, 1)
	h.kill(dead, time.Minute)
	require.Equal(t, 1, h.recover(ann).Entries)
	require.Len(t, h.Stream(h.keys.Input), 1)
}

// Trace: another consumer took over the dead one's stream with another entry; freeing that lease would make two owners.
func TestLeaseOfSomebodyElseIsNotFreed(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.Do("DEL", h.keys.Lease("s"))
	h.owned(bea, "s")
	h.kill(dead, time.Minute)
	require.Equal(t, 1, h.recover(ann).Entries)
	require.Contains(t, h.Text("GET", h.keys.Lease("s")), bea)
}

// A recovery costs 2 scripts per page, and 2 at the end.
func TestRecoveryCostsPages(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.Page = 100 }).withDead()
	for i := range 1000 {
		h.announce(fmt.Sprint(i))
	}
	h.score(ann, strconv.FormatInt(h.Now()+time.Hour.Milliseconds(), 10)) // XADDs may take longer than a session
	h.score(dead, strconv.FormatInt(h.Now()+time.Hour.Milliseconds(), 10))
	h.own(dead, 500)
	h.read(dead, 500)
	h.kill(dead, time.Minute)
	before, err := h.server.CommandStats(h.ctx)
	require.NoError(t, err)
	require.Equal(t, Recovered{Entries: 1000, Scripts: 10, Removed: true}, h.recover(ann))
	after, err := h.server.CommandStats(h.ctx)
	require.NoError(t, err)
	scripts := func(name string) int64 { return after[name].Calls - before[name].Calls }
	// The first run of a script is an EVAL.
	require.EqualValues(t, 3, scripts("eval"))
	require.EqualValues(t, 2*10+2, scripts("evalsha"))
}

// A process that is restarted ever more slowly moves its predecessor's deadline by the time in which nobody beat. The server
// knows how long ago the predecessor was at work.
func TestRecoveryTellsWhenTheDeadWasSeenLast(t *testing.T) {
	h := newHarness(t).withDead()
	h.announce("s")
	h.read(dead, 1)
	seen := func() time.Duration {
		r := h.recovery(ann)
		orphans, err := r.page(h.ctx, "-")
		require.NoError(t, err)
		require.Len(t, orphans, 1)
		return r.end.seen
	}
	h.kill(dead, time.Second)
	first := seen()
	require.Eventually(t, func() bool { return seen() >= first+20*time.Millisecond }, 10*time.Second, 10*time.Millisecond)
}
