package scan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
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

	_, err := late.recover(w.ctx, items)
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
	for _, s := range r.suspects {
		items = append(items, s.Disposition)
	}
	for i := range 2 {
		outcomes, err := r.recover(w.ctx, items)
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
	_, err = slow.recover(w.ctx, items[:1])
	require.NoError(t, err)
	require.Greater(t, w.Num("PTTL", w.keys.Recover(dead)), half, "each page extends it")

	w.Do("DEL", w.keys.Recover(dead))
	_, err = slow.recover(w.ctx, items)
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
	_, err := r.recover(w.ctx, items)
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
	_, err := r.recover(w.ctx, items)
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

func TestCrashesDelayAndThenEndInTheDeadLetters(t *testing.T) {
	w := newWard(t).mortal()
	w.held(w.owned(dead, "first"), time.Minute)
	w.held(w.owned(dead, "third", "_crash_count", "2"), time.Minute)
	w.owned(dead, "last", "_crash_count", "27", "_retry_count", "1", "mine", "kept")
	stable := w.owned(dead, "stable", "_crash_count", "10")
	w.held(stable, 5*time.Minute+20*time.Second)
	w.kill(dead, time.Second)
	before := w.Now()
	require.Equal(t, Recovered{Entries: 4, DeadLetters: 1, Scripts: 3, Removed: true}, w.recover(ann))
	after := w.Now()

	input := w.Stream(w.keys.Input)
	require.Len(t, input, 2)
	require.Equal(t, "1", input[0].FieldValues[lease.FieldCrashes])
	require.NotContains(t, input[1].FieldValues, lease.FieldCrashes, "it starts from zero")
	later, err := w.Try("ZRANGE", w.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	require.Len(t, later, 1)
	require.Contains(t, later[0].Member, "third")
	require.GreaterOrEqual(t, later[0].Score, float64(before+1000), "2 s, jittered")
	require.LessOrEqual(t, later[0].Score, float64(after+3000))

	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, 1)
	letter := letters[0].FieldValues
	require.Contains(t, letter[lease.FieldAnnouncement], "last")
	require.Equal(t, "30", letter[lease.FieldCrashes])
	require.Equal(t, "1", letter[lease.FieldRetries])
	require.Equal(t, dead, letter[lease.FieldLastOwner])
	require.Equal(t, "kept", letter["mine"])
	require.True(t, strings.HasPrefix(letter[lease.FieldReason], "crashes: "))
	require.NotEmpty(t, letter[lease.FieldDeadAt])
	require.NotEmpty(t, letter[lease.FieldOriginalID])
}

// Trace: several pages of streams are beyond the limit, and only one of them is to blame.
func TestOnlyTheStreamThatStandsOutBecomesADeadLetter(t *testing.T) {
	w := newWard(t).mortal()
	for i := range 8 {
		w.held(w.owned(dead, fmt.Sprint("innocent-", i), "_crash_count", "27"), time.Minute)
	}
	w.owned(dead, "killer", "_crash_count", "27")
	w.kill(dead, time.Second)
	require.Equal(t, Recovered{Entries: 9, DeadLetters: 1, Scripts: 3, Removed: true, Suspected: 8}, w.recover(ann))
	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, 1)
	require.Contains(t, letters[0].FieldValues[lease.FieldAnnouncement], "killer")
	require.Equal(t, 8, w.Num("ZCARD", w.keys.Later))
}

// Trace: everything that a process held came at once, and has crashed as often: all of it became dead letters.
func TestWhatIsEquallySuspectWaits(t *testing.T) {
	for _, crashes := range []string{"10", "27", "30", "31", "1000000", "9223372036854775807"} {
		t.Run(crashes, func(t *testing.T) {
			w := newWard(t).mortal()
			for i := range 10 {
				w.owned(dead, fmt.Sprint("s-", i), "_crash_count", crashes)
			}
			w.kill(dead, time.Second)
			require.Equal(t, Recovered{Entries: 10, Scripts: 4, Removed: true, Suspected: 10}, w.recover(ann))
			later, err := w.Try("ZRANGE", w.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
			require.NoError(t, err)
			require.Len(t, later, 10)
			for _, x := range later {
				require.Greater(t, x.Score, float64(w.Now())+100_000, "the longest delay, less the jitter")
			}
			require.Greater(t, later[9].Score, later[0].Score+1000, "they do not come back together")
		})
	}
}

// What kills while it is read was never owned, so it counted nothing and killed for ever.
func TestEntryThatKillsWhenItIsReadIsConvicted(t *testing.T) {
	w := newWard(t).mortal()
	for i := range 3 {
		w.held(w.owned(dead, fmt.Sprint("innocent-", i), "_crash_count", "20"), time.Minute)
	}
	parked := w.announce("parked", "_crash_count", "27")
	huge := w.announce("huge", "_crash_count", "27")
	along := w.announce("read along with it")
	w.read(dead, 3)
	for entry, idle := range map[string]string{parked: "60000", huge: "10000", along: "10000"} {
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), dead, "0", entry, "IDLE", idle, "RETRYCOUNT", "1", "JUSTID")
	}
	w.kill(dead, time.Second)
	require.Equal(t, Recovered{Entries: 6, DeadLetters: 1, Scripts: 3, Removed: true, Suspected: 3}, w.recover(ann))
	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, 1)
	require.Contains(t, letters[0].FieldValues[lease.FieldAnnouncement], "huge")
	input := w.Stream(w.keys.Input)
	require.Len(t, input, 2)
	require.Equal(t, "27", input[0].FieldValues[lease.FieldCrashes], "parked for a minute: in nobody's hands")
	require.Equal(t, "1", input[1].FieldValues[lease.FieldCrashes])
}

// Trace: a recovery breaks off between two pages of suspects. What it left behind looked as if it had been all there was.
func TestSuspectsThatABrokenRecoveryLeftAreNotAlone(t *testing.T) {
	w := newWard(t, func(s *Settings) { s.Page = 8 }).mortal()
	for i := range 17 {
		w.held(w.owned(dead, fmt.Sprint("s-", i), "_crash_count", "27"), time.Minute+time.Duration(i)*time.Millisecond)
	}
	w.kill(dead, time.Second)
	r := w.at(ann)
	for after := "-"; ; {
		orphans, err := r.page(w.ctx, after)
		require.NoError(t, err)
		if len(orphans) == 0 {
			break
		}
		require.Empty(t, r.judge(orphans))
		after = "(" + orphans[len(orphans)-1].ID
	}
	require.Equal(t, 17, r.set.Convict(r.suspects, r.with, func() float64 { return 0.5 }))
	var items []lease.Disposition
	for _, s := range r.suspects {
		items = append(items, s.Disposition)
	}
	pages := evenly(items, r.set.Page)
	require.Len(t, pages, 3)
	for _, page := range pages[:2] {
		require.GreaterOrEqual(t, len(page), 5)
		require.NoError(t, r.giveBack(w.ctx, page))
	}
	w.Do("DEL", w.keys.Recover(dead)) // it has run out
	left := w.pending(dead)
	require.Equal(t, len(pages[2]), left)
	require.Equal(t, Recovered{Entries: left, Scripts: 1, Removed: true, Suspected: left}, w.recover(bea))
	require.Empty(t, w.Stream(w.keys.DeadLetters))
	require.Equal(t, 17, w.Num("ZCARD", w.keys.Later))
}

// A count that a producer wrote is its own affair: what really stands out is convicted all the same, and nothing else.
func TestMadeUpCrashCountsTakeNobodysPlace(t *testing.T) {
	w := newWard(t).mortal()
	for i, claim := range []string{"1000000", "28", "-5", "1e9", "many", "99999999999999999999"} {
		w.held(w.owned(dead, fmt.Sprint("liar-", i), "_crash_count", claim), 30*time.Second+time.Duration(i)*time.Second)
	}
	w.owned(dead, "killer", "_crash_count", "44")
	w.kill(dead, time.Second)
	done := w.recover(ann)
	require.Equal(t, 7, done.Entries)
	require.Equal(t, 1, done.DeadLetters)
	require.Contains(t, w.Stream(w.keys.DeadLetters)[0].FieldValues[lease.FieldAnnouncement], "killer")
	for _, e := range w.Stream(w.keys.Input) {
		require.Equal(t, "1", e.FieldValues[lease.FieldCrashes], "what is no count is none")
	}
}

// A stream that is the only one of its service has died with nothing else. Where others wait for their time, it has not been
// alone.
func TestTheOnlyAnnouncementIsConvictedAtTheLimit(t *testing.T) {
	for _, others := range []string{"none", "undelivered", "waiting", "pending"} {
		t.Run(others, func(t *testing.T) {
			w := newWard(t).mortal()
			w.owned(dead, "killer", "_crash_count", "10")
			switch others {
			case "undelivered":
				w.announce("other")
			case "waiting":
				w.Do("ZADD", w.keys.Later, "99999999999999", "x")
			case "pending":
				w.owned(bea, "other")
			}
			w.kill(dead, time.Second)
			done := w.recover(ann)
			require.Equal(t, others == "none", done.DeadLetters == 1)
			require.Equal(t, others != "none", done.Suspected == 1)
		})
	}
}

// Trace: a full dead-letter stream. What should go there is put off for long, and nothing is lost.
func TestFullDeadLettersPutOff(t *testing.T) {
	for name, trim := range map[string]bool{"kept": false, "trimmed": true} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, func(s *Settings) { s.DLQMaxLen, s.DLQTrim = 1, trim }).mortal()
			w.Do("XADD", w.keys.DeadLetters, "*", "f", "v")
			w.owned(dead, "s", "_crash_count", "10")
			w.kill(dead, time.Second)
			done := w.recover(ann)
			require.Equal(t, 1, done.Entries)
			if trim {
				require.Equal(t, 1, done.DeadLetters)
				require.Zero(t, w.Num("ZCARD", w.keys.Later))
				return
			}
			require.Zero(t, done.DeadLetters)
			later, err := w.Try("ZRANGE", w.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
			require.NoError(t, err)
			require.Len(t, later, 1)
			require.InDelta(t, float64(w.Now()+time.Hour.Milliseconds()), later[0].Score, 60_000)
			require.Len(t, w.Stream(w.keys.DeadLetters), 1)
		})
	}
}

// Trace: dead letters are to be trimmed, and have no limit. Each new one trimmed all of them, and itself.
func TestDeadLettersWithoutALimitAreNotTrimmed(t *testing.T) {
	w := newWard(t, func(s *Settings) { s.DLQMaxLen, s.DLQTrim, s.MaxCrashes = -1, true, -1 }).mortal()
	for range 200 { // trimming is by whole nodes of 100
		w.Do("XADD", w.keys.DeadLetters, "*", "f", "v")
	}
	w.owned(dead, "s")
	w.kill(dead, time.Second)
	require.Equal(t, 1, w.recover(ann).DeadLetters)
	require.Equal(t, 201, w.Num("XLEN", w.keys.DeadLetters))
}

// Trace: the recoverer's user has no right to the dead letters. A script that is given their key is refused as a whole, so one
// entry that should go there kept all that went with it from being recovered.
func TestMissingRightToTheDeadLettersHoldsUpNobodyElse(t *testing.T) {
	w := newWard(t).mortal()
	malformed := w.Text("XADD", w.keys.Input, "*", lease.FieldAnnouncement, "nonsense")
	w.read(dead, 1)
	for i := range 5 {
		w.owned(dead, fmt.Sprint("fine-", i))
	}
	w.kill(dead, time.Second)
	w.Do("ACL", "SETUSER", "app", "on", ">secret", "+@all", "~"+w.keys.Input, "~{"+w.keys.Input+"}:*")
	opt := w.server.ClientOption()
	opt.Username, opt.Password = "app", "secret"
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	far := *w
	far.Client = client
	far.stores()
	done, err := far.store.Recover(w.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, malformed)
	require.Equal(t, []int{5, 1, 0}, []int{done.Entries, done.Refused, done.Blamed})
	require.Equal(t, 1, w.pending(dead))

	w.Do("ACL", "SETUSER", "app", "~*")
	done, err = far.store.Recover(w.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, 1, done.DeadLetters)
	require.True(t, done.Removed)
}

// Trace: entry after entry that should become a dead letter is refused, since a key of another type stands there. The walk
// from page to page ended at the first of them, and 10,000 others waited for somebody to clean up.
func TestEntryThatIsRefusedHoldsUpNobodyElse(t *testing.T) {
	w := newWard(t, func(s *Settings) { s.MaxCrashes = -1 }).mortal()
	w.Do("HSET", w.keys.DeadLetters, "f", "v")
	for i := range 4 {
		w.owned(dead, fmt.Sprint("refused-", i))
	}
	for i := range 7 {
		w.announce(fmt.Sprint("fine-", i))
	}
	w.read(dead, 7)
	w.kill(dead, time.Minute)
	done, err := w.store.Recover(w.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Equal(t, 7, done.Entries)
	require.False(t, done.Removed)
	require.Equal(t, 4, w.pending(dead))
	require.Zero(t, w.Num("EXISTS", w.keys.Recover(dead)), "the claim is let go")
	require.Contains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)

	w.Do("DEL", w.keys.DeadLetters)
	require.Equal(t, Recovered{Entries: 4, DeadLetters: 4, Scripts: 2, Removed: true}, w.recover(bea))
}

func TestUnreadableAndVanishedEntries(t *testing.T) {
	w := newWard(t).mortal()
	w.add("lbs-input", "not json")
	w.add("other", "field")
	w.add("lbs-input", `{"DataStreamName":""}`)
	trimmed := w.announce("trimmed")
	w.read(dead, 4)
	owned := w.owned(dead, "trimmed too")
	w.Do("XDEL", w.keys.Input, trimmed, owned.ID)
	w.kill(dead, time.Minute)
	done := w.recover(ann)
	require.Equal(t, 3, done.Entries)
	require.Equal(t, 3, done.Malformed)
	require.Equal(t, 2, done.Gone)
	require.True(t, done.Removed)
	require.Empty(t, w.Stream(w.keys.Input), "whoever reads them next could do no more")
	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, 3)
	for _, l := range letters {
		require.Contains(t, l.FieldValues[lease.FieldReason], "malformed: ")
	}
}

// Trace: an entry with more fields than a script can copy: it becomes a dead letter with the field that is known, and what
// shares its page goes back as ever.
func TestEntryWithFiveThousandFields(t *testing.T) {
	w := newWard(t).mortal()
	fields := make([]string, 0, 10_002)
	for i := range 5000 {
		fields = append(fields, fmt.Sprint("f", i), "v")
	}
	w.announce("before")
	w.announce("wide", fields...)
	w.add(fields...) // and unreadable
	w.announce("after")
	w.read(dead, 4)
	w.kill(dead, time.Minute)
	require.Equal(t, Recovered{Entries: 4, DeadLetters: 2, Scripts: 3, Removed: true, Malformed: 1, TooWide: 1}, w.recover(ann))
	require.Len(t, w.Stream(w.keys.Input), 2)
	letters := w.Stream(w.keys.DeadLetters)
	require.Len(t, letters, 2)
	slices.SortFunc(letters, func(a, b rueidis.XRangeEntry) int {
		return strings.Compare(a.FieldValues[lease.FieldReason], b.FieldValues[lease.FieldReason])
	})
	require.Contains(t, letters[0].FieldValues[lease.FieldReason], "malformed")
	require.Contains(t, letters[1].FieldValues[lease.FieldAnnouncement], "wide")
	require.Contains(t, letters[1].FieldValues[lease.FieldReason], "too_wide")
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

// Trace: a read of the dead consumer was still blocked on the server, and is given what its own recovery queued again. The
// consumer stays until that is recovered too; no entry is ever destroyed with it.
func TestSweepLeavesAConsumerThatWasGivenMore(t *testing.T) {
	w := newWard(t).mortal()
	w.owned(dead, "s")
	w.kill(dead, time.Minute)
	r := w.at(ann)
	_, err := r.recover(w.ctx, w.lent(r))
	require.NoError(t, err)
	w.read(dead, 1)
	left, err := r.sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	require.Contains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
	require.Zero(t, w.Num("EXISTS", w.keys.Recover(dead)), "somebody may go on at once")
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, w.recover(bea))

	// After its removal: a read makes the consumer anew, without a session. It is adopted, and then recovered.
	w.read(dead, 1)
	require.Empty(t, w.list(ann, false))
	require.Empty(t, w.list(ann, true))
	w.score(dead, "1000.5")
	require.Equal(t, []string{dead}, w.list(ann, false))
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, w.recover(ann))
	require.Empty(t, w.Stream(w.keys.Input)[0].FieldValues[lease.FieldCrashes][1:], "counted once, when it was held")
}

func TestSweepOfTheLivingAndTheUnknown(t *testing.T) {
	w := newWard(t).mortal()
	left, err := w.at(ann).sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left, "it lives")
	w.Do("ZREM", w.keys.Sessions, dead)
	left, err = w.at(ann).sweep(w.ctx)
	require.NoError(t, err)
	require.Equal(t, -1, left, "it is unknown")
	require.Contains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
	w.score(dead, "0")
	left, err = w.at(ann).sweep(w.ctx)
	require.NoError(t, err)
	require.Zero(t, left)
	require.NotContains(t, w.Consumers(w.keys.Input, w.layout.Group()), dead)
}

// Trace: rolling deployments leave a consumer in the group for every process there ever was.
func TestHundredDeadConsumersWithNothingPendingAreRemoved(t *testing.T) {
	w := newWard(t)
	for i := range 100 {
		w.open(fmt.Sprint("old.", i))
		w.kill(fmt.Sprint("old.", i), time.Minute)
	}
	w.owned(bea, "s")
	names := w.list(ann, true)
	require.Len(t, names, 100)
	for _, name := range names {
		done, err := w.store.Recover(w.ctx, 0, ann, name)
		require.NoError(t, err)
		require.Equal(t, Recovered{Removed: true}, done)
	}
	require.ElementsMatch(t, []string{ann, bea}, w.Consumers(w.keys.Input, w.layout.Group()))
	require.Empty(t, w.list(ann, true))
	require.Equal(t, 1, w.pending(bea))
}

// Consumers of the library that this one follows have no sessions: they are adopted, and what they left is recovered like
// anybody's, without a crash held against it.
func TestForeignConsumerIsAdoptedAndRecovered(t *testing.T) {
	const foreign = lease.LegacyPrefix + "pod-1"
	w := newWard(t)
	id := w.announce("s")
	w.read(foreign, 1)
	w.Do("XCLAIM", w.keys.Input, w.layout.Group(), foreign, "0", id, "RETRYCOUNT", "5")
	require.Empty(t, w.list(ann, true))
	w.score(foreign, "1000.5")
	require.Equal(t, []string{foreign}, w.list(ann, false))
	done, err := w.store.Recover(w.ctx, 0, ann, foreign)
	require.NoError(t, err)
	require.Equal(t, Recovered{Entries: 1, Scripts: 1, Removed: true}, done)
	require.NotContains(t, w.Stream(w.keys.Input)[0].FieldValues, lease.FieldCrashes)
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
		return r.death.Seen
	}
	w.kill(dead, time.Second)
	first := seen()
	require.Eventually(t, func() bool { return seen() >= first+20*time.Millisecond }, 10*time.Second, 10*time.Millisecond)
}
