package scan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// Trace: a full dead-letter stream. What should go there is delayed for long, and nothing is lost.
func TestFullDeadLetterStreamDelays(t *testing.T) {
	for name, trim := range map[string]bool{"kept": false, "trimmed": true} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(s *Settings) { s.DLQMaxLen, s.DLQTrim = 1, trim }).withDead()
			h.Do("XADD", h.keys.DeadLetters, "*", "f", "v")
			h.owned(dead, "s", "_crash_count", "10")
			h.kill(dead, time.Second)
			done := h.recover(ann)
			require.Equal(t, 1, done.Entries)
			if trim {
				require.Equal(t, 1, done.DeadLetters)
				require.Zero(t, h.Num("ZCARD", h.keys.Later))
				return
			}
			require.Zero(t, done.DeadLetters)
			later, err := h.Try("ZRANGE", h.keys.Later, "0", "-1", "WITHSCORES").AsZScores()
			require.NoError(t, err)
			require.Len(t, later, 1)
			require.InDelta(t, float64(h.Now()+time.Hour.Milliseconds()), later[0].Score, 60_000)
			require.Len(t, h.Stream(h.keys.DeadLetters), 1)
		})
	}
}

// Trace: dead letters are to be trimmed, and have no limit. Each new one trimmed all of them, and itself.
func TestDeadLettersWithoutALimitAreNotTrimmed(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.DLQMaxLen, s.DLQTrim, s.MaxCrashes = NoLimit, true, NoCrashes }).withDead()
	for range 200 { // trimming is by whole nodes of 100
		h.Do("XADD", h.keys.DeadLetters, "*", "f", "v")
	}
	h.owned(dead, "s")
	h.kill(dead, time.Second)
	require.Equal(t, 1, h.recover(ann).DeadLetters)
	require.Equal(t, 201, h.Num("XLEN", h.keys.DeadLetters))
}

// Trace: the recoverer's user has no permission for the dead letters. A script with their key is refused as a whole, so one entry
// that should go there kept everything in its batch from being recovered.
func TestMissingRightToTheDeadLettersHoldsUpNobodyElse(t *testing.T) {
	h := newHarness(t).withDead()
	malformed := h.Text("XADD", h.keys.Input, "*", lease.FieldAnnouncement, "nonsense")
	h.read(dead, 1)
	for i := range 5 {
		h.owned(dead, fmt.Sprint("fine-", i))
	}
	h.kill(dead, time.Second)
	h.Do("ACL", "SETUSER", "app", "on", ">secret", "+@all", "~"+h.keys.Input, "~{"+h.keys.Input+"}:*")
	opt := h.server.ClientOption()
	opt.Username, opt.Password = "app", "secret"
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	far := *h
	far.Client = client
	far.stores()
	done, err := far.store.Recover(h.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, malformed)
	require.Equal(t, []int{5, 1, 0}, []int{done.Entries, done.Refused, done.Blamed})
	require.Equal(t, 1, h.pending(dead))

	h.Do("ACL", "SETUSER", "app", "~*")
	done, err = far.store.Recover(h.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, 1, done.DeadLetters)
	require.True(t, done.Removed)
}

// Trace: entry after entry that should become a dead letter is refused, since the key has another type. The walk from page to
// page ended at the first of them, and 10,000 others waited for somebody to clean up.
func TestEntryThatIsRefusedHoldsUpNobodyElse(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.MaxCrashes = NoCrashes }).withDead()
	h.Do("HSET", h.keys.DeadLetters, "f", "v")
	for i := range 4 {
		h.owned(dead, fmt.Sprint("refused-", i))
	}
	for i := range 7 {
		h.announce(fmt.Sprint("fine-", i))
	}
	h.read(dead, 7)
	h.kill(dead, time.Minute)
	done, err := h.store.Recover(h.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Equal(t, 7, done.Entries)
	require.False(t, done.Removed)
	require.Equal(t, 4, h.pending(dead))
	require.Zero(t, h.Num("EXISTS", h.keys.Recover(dead)), "the claim is let go")
	require.Contains(t, h.Consumers(h.keys.Input, h.layout.Group()), dead)

	h.Do("DEL", h.keys.DeadLetters)
	require.Equal(t, Recovered{Entries: 4, DeadLetters: 4, Scripts: 2, Removed: true}, h.recover(bea))
}

func TestUnreadableAndVanishedEntries(t *testing.T) {
	h := newHarness(t).withDead()
	h.add("lbs-input", "not json")
	h.add("other", "field")
	h.add("lbs-input", `{"DataStreamName":""}`)
	trimmed := h.announce("trimmed")
	h.read(dead, 4)
	owned := h.owned(dead, "trimmed too")
	h.Do("XDEL", h.keys.Input, trimmed, owned.ID)
	h.kill(dead, time.Minute)
	done := h.recover(ann)
	require.Equal(t, 3, done.Entries)
	require.Equal(t, 3, done.Malformed)
	require.Equal(t, 2, done.Gone)
	require.True(t, done.Removed)
	require.Empty(t, h.Stream(h.keys.Input), "the next consumer could do no more with them")
	letters := h.Stream(h.keys.DeadLetters)
	require.Len(t, letters, 3)
	for _, l := range letters {
		require.Contains(t, l.FieldValues[lease.FieldReason], "malformed: ")
	}
}

// Trace: an entry with more fields than a script can copy: it becomes a dead letter with the field that is known, and what
// shares its page is requeued as usual.
func TestEntryWithFiveThousandFields(t *testing.T) {
	h := newHarness(t).withDead()
	fields := make([]string, 0, 10_002)
	for i := range 5000 {
		fields = append(fields, fmt.Sprint("f", i), "v")
	}
	h.announce("before")
	h.announce("wide", fields...)
	h.add(fields...) // and unreadable
	h.announce("after")
	h.read(dead, 4)
	h.kill(dead, time.Minute)
	require.Equal(t, Recovered{Entries: 4, DeadLetters: 2, Scripts: 3, Removed: true, Malformed: 1, TooWide: 1}, h.recover(ann))
	require.Len(t, h.Stream(h.keys.Input), 2)
	letters := h.Stream(h.keys.DeadLetters)
	require.Len(t, letters, 2)
	slices.SortFunc(letters, func(a, b rueidis.XRangeEntry) int {
		return strings.Compare(a.FieldValues[lease.FieldReason], b.FieldValues[lease.FieldReason])
	})
	require.Contains(t, letters[0].FieldValues[lease.FieldReason], "malformed")
	require.Contains(t, letters[1].FieldValues[lease.FieldAnnouncement], "wide")
	require.Contains(t, letters[1].FieldValues[lease.FieldReason], "too_wide")
}
