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
	h := newHarness(t).withDead()
	h.held(h.owned(dead, "first"), time.Minute)
	h.held(h.owned(dead, "third", "_crash_count", "2"), time.Minute)
	h.owned(dead, "last", "_crash_count", "27", "_retry_count", "1", "mine", "kept")
	stable := h.owned(dead, "stable", "_crash_count", "10")
	h.held(stable, 5*time.Minute+20*time.Second)
	h.kill(dead, time.Second)
	before := h.Now()
	require.Equal(t, Recovered{Entries: 4, DeadLetters: 1, Scripts: 3, Removed: true}, h.recover(ann))
	after := h.Now()

	input := h.Stream(h.keys.Input)
	require.Len(t, input, 2)
	require.Equal(t, "1", input[0].FieldValues[lease.FieldCrashes])
	require.NotContains(t, input[1].FieldValues, lease.FieldCrashes, "it starts from zero")
	later, err := h.Try("ZRANGE", h.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	require.Len(t, later, 1)
	require.Contains(t, later[0].Member, "third")
	require.GreaterOrEqual(t, later[0].Score, float64(before+1000), "2 s, jittered")
	require.LessOrEqual(t, later[0].Score, float64(after+3000))

	letters := h.Stream(h.keys.DeadLetters)
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

// Trace: several pages of streams are beyond the limit, and only one stream is to blame.
func TestOnlyTheStreamThatStandsOutBecomesADeadLetter(t *testing.T) {
	h := newHarness(t).withDead()
	for i := range 8 {
		h.held(h.owned(dead, fmt.Sprint("innocent-", i), "_crash_count", "27"), time.Minute)
	}
	h.owned(dead, "killer", "_crash_count", "27")
	h.kill(dead, time.Second)
	require.Equal(t, Recovered{Entries: 9, DeadLetters: 1, Scripts: 3, Removed: true, Suspected: 8}, h.recover(ann))
	letters := h.Stream(h.keys.DeadLetters)
	require.Len(t, letters, 1)
	require.Contains(t, letters[0].FieldValues[lease.FieldAnnouncement], "killer")
	require.Equal(t, 8, h.Num("ZCARD", h.keys.Later))
}

// Trace: everything that a process held arrived at once, and has crashed equally often: all of it became dead letters.
func TestWhatIsEquallySuspectIsDelayed(t *testing.T) {
	for _, crashes := range []string{"10", "27", "30", "31", "1000000", "9223372036854775807"} {
		t.Run(crashes, func(t *testing.T) {
			h := newHarness(t).withDead()
			for i := range 10 {
				h.owned(dead, fmt.Sprint("s-", i), "_crash_count", crashes)
			}
			h.kill(dead, time.Second)
			require.Equal(t, Recovered{Entries: 10, Scripts: 4, Removed: true, Suspected: 10}, h.recover(ann))
			later, err := h.Try("ZRANGE", h.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
			require.NoError(t, err)
			require.Len(t, later, 10)
			for _, x := range later {
				require.Greater(t, x.Score, float64(h.Now())+100_000, "the longest delay, less the jitter")
			}
			require.Greater(t, later[9].Score, later[0].Score+1000, "they do not come back together")
		})
	}
}

// An entry that kills while it is read was never owned, so it counted no crash and killed forever.
func TestEntryThatKillsWhenItIsReadIsDetected(t *testing.T) {
	h := newHarness(t).withDead()
	for i := range 3 {
		h.held(h.owned(dead, fmt.Sprint("innocent-", i), "_crash_count", "20"), time.Minute)
	}
	parked := h.announce("parked", "_crash_count", "27")
	huge := h.announce("huge", "_crash_count", "27")
	along := h.announce("read along with it")
	h.read(dead, 3)
	for entry, idle := range map[string]string{parked: "60000", huge: "10000", along: "10000"} {
		h.Do("XCLAIM", h.keys.Input, h.layout.Group(), dead, "0", entry, "IDLE", idle, "RETRYCOUNT", "1", "JUSTID")
	}
	h.kill(dead, time.Second)
	require.Equal(t, Recovered{Entries: 6, DeadLetters: 1, Scripts: 3, Removed: true, Suspected: 3}, h.recover(ann))
	letters := h.Stream(h.keys.DeadLetters)
	require.Len(t, letters, 1)
	require.Contains(t, letters[0].FieldValues[lease.FieldAnnouncement], "huge")
	input := h.Stream(h.keys.Input)
	require.Len(t, input, 2)
	require.Equal(t, "27", input[0].FieldValues[lease.FieldCrashes], "parked for a minute: in nobody's hands")
	require.Equal(t, "1", input[1].FieldValues[lease.FieldCrashes])
}

// Trace: a recovery is interrupted between two pages of candidates. What it left behind looked as if it had been everything.
func TestCandidatesOfAnInterruptedRecoveryAreNotAlone(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.Page = 8 }).withDead()
	for i := range 17 {
		h.held(h.owned(dead, fmt.Sprint("s-", i), "_crash_count", "27"), time.Minute+time.Duration(i)*time.Millisecond)
	}
	h.kill(dead, time.Second)
	r := h.recovery(ann)
	for after := "-"; ; {
		orphans, err := r.page(h.ctx, after)
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
		require.NoError(t, r.requeueAll(h.ctx, page))
	}
	h.Do("DEL", h.keys.Recover(dead)) // it has run out
	left := h.pending(dead)
	require.Equal(t, len(pages[2]), left)
	require.Equal(t, Recovered{Entries: left, Scripts: 1, Removed: true, Suspected: left}, h.recover(bea))
	require.Empty(t, h.Stream(h.keys.DeadLetters))
	require.Equal(t, 17, h.Num("ZCARD", h.keys.Later))
}

// A count that a producer wrote matters to its own entry only: what really stands out is found all the same, and nothing else.
func TestMadeUpCrashCountsTakeNobodysPlace(t *testing.T) {
	h := newHarness(t).withDead()
	for i, claim := range []string{"1000000", "28", "-5", "1e9", "many", "99999999999999999999"} {
		h.held(h.owned(dead, fmt.Sprint("liar-", i), "_crash_count", claim), 30*time.Second+time.Duration(i)*time.Second)
	}
	h.owned(dead, "killer", "_crash_count", "44")
	h.kill(dead, time.Second)
	done := h.recover(ann)
	require.Equal(t, 7, done.Entries)
	require.Equal(t, 1, done.DeadLetters)
	require.Contains(t, h.Stream(h.keys.DeadLetters)[0].FieldValues[lease.FieldAnnouncement], "killer")
	for _, e := range h.Stream(h.keys.Input) {
		require.Equal(t, "1", e.FieldValues[lease.FieldCrashes], "what is no count is none")
	}
}

// The only stream of a service has died with nothing else. Where others are waiting, it has not been alone.
func TestTheOnlyAnnouncementIsPoisonAtTheLimit(t *testing.T) {
	for _, others := range []string{"none", "undelivered", "waiting", "pending"} {
		t.Run(others, func(t *testing.T) {
			h := newHarness(t).withDead()
			h.owned(dead, "killer", "_crash_count", "10")
			switch others {
			case "undelivered":
				h.announce("other")
			case "waiting":
				h.Do("ZADD", h.keys.Later, "99999999999999", "x")
			case "pending":
				h.owned(bea, "other")
			}
			h.kill(dead, time.Second)
			done := h.recover(ann)
			require.Equal(t, others == "none", done.DeadLetters == 1)
			require.Equal(t, others != "none", done.Suspected == 1)
		})
	}
}
