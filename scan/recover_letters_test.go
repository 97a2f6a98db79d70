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
