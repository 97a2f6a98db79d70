package scan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

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
		require.Empty(t, r.triage(orphans))
		after = "(" + orphans[len(orphans)-1].ID
	}
	require.Equal(t, 17, r.set.detectPoison(r.candidates, r.others, func() float64 { return 0.5 }))
	var items []lease.Disposition
	for _, s := range r.candidates {
		items = append(items, s.Disposition)
	}
	pages := evenPages(items, r.set.Page)
	require.Len(t, pages, 3)
	for _, page := range pages[:2] {
		require.GreaterOrEqual(t, len(page), 5)
		require.NoError(t, r.requeueAll(w.ctx, page))
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
