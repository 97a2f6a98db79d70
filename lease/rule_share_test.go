package lease

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Trace: 300 held streams with an Info of 1 MiB go back, and the script that copies them holds up the server for a second.
func TestOneScriptCopiesNoMoreThanItsShare(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	body := strings.Repeat("x", 1<<20)
	var items []Disposition
	for i := range 12 {
		items = append(items, w.raw(FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s%d"}`, i), "f", body))
	}
	require.Equal(t, "mmmm"+strings.Repeat("t", 8), verdicts(w.requeue(alice, items...)), "what it weighs was not known")
	require.Len(t, w.pendingIDs(alice), 8)

	size := NewPageSize(100)
	calls, moved := 0, 0
	require.NoError(t, Move(items, &size, func(items []Disposition) ([]Outcome, error) {
		calls++
		return w.store.Requeue(w.ctx, 0, alice, items)
	}, func(_ Disposition, o Outcome) {
		if o.Verdict == Moved {
			moved++
		}
	}))
	require.Equal(t, []int{2, 8}, []int{calls, moved})
	require.Len(t, w.Stream(w.keys.Input), 12)
}

// Promotion, likewise: 12 members of 1 MiB that are due together.
func TestPromoteMovesNoMoreThanItsShare(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	body := strings.Repeat("x", 1<<20)
	for i := range 12 {
		r := w.raw(FieldAnnouncement, fmt.Sprintf(`{"DataStreamName":"s%d"}`, i), "f", body)
		require.Equal(t, "m", verdicts(w.requeue(alice, r.to(ToLater))))
	}
	w.dueNow()
	var all []int
	for due := 12; due > 0; {
		moved, left, err := w.promote(100)
		require.NoError(t, err)
		require.Equal(t, due-moved, left)
		all, due = append(all, moved), left
	}
	require.Equal(t, []int{4, 4, 4}, all)
}

// Trace: the input stream refuses what is due, or later does not let go of it. Each call began with the same member again,

// and where it was copied and not removed there was one copy more each time.
func TestPromoteStandsAsideFromWhatIsRefused(t *testing.T) {
	everyServer(t, func(t *testing.T, w *harness) {
		for i := range 3 {
			require.Equal(t, "m", verdicts(w.requeue(alice, back(w.own(alice, "s"+strconv.Itoa(i))).to(ToLater))))
		}
		w.Do("ZADD", w.keys.Later, "0", "unreadable")
		w.dueNow()
		w.Do("RENAME", w.keys.Input, "elsewhere")
		w.Do("SET", w.keys.Input, "x")
		w.Do("SET", w.keys.DeadLetters, "x")
		moved, due, err := w.promote(2)
		require.ErrorIs(t, err, ErrSetAside)
		require.ErrorContains(t, err, "WRONGTYPE")
		require.Equal(t, []int{0, 1}, []int{moved, due}, "one refused, one unreadable, and the dead letters refuse that; then the others")
		_, due, err = w.promote(10)
		require.ErrorIs(t, err, ErrSetAside)
		require.Zero(t, due)
		require.Equal(t, 4, w.Num("ZCARD", w.keys.Later), "nothing is lost")
		score, err := strconv.ParseFloat(w.Text("ZSCORE", w.keys.Later, "unreadable"), 64)
		require.NoError(t, err)
		require.InDelta(t, w.Now()+60_000, score, 30_000)

		w.Do("DEL", w.keys.DeadLetters)
		w.Do("RENAME", "elsewhere", w.keys.Input)
		w.dueNow()
		limited := w.as(w.user("-zrem"))
		_, _, err = limited.promote(10)
		require.ErrorIs(t, err, ErrSetAside)
		require.Empty(t, w.Stream(w.keys.Input), "no copy is left behind")
		require.Zero(t, w.Num("XLEN", w.keys.DeadLetters))

		w.dueNow()
		moved, due, err = w.promote(10)
		require.NoError(t, err)
		require.Equal(t, []int{4, 0}, []int{moved, due})
		require.Len(t, w.Stream(w.keys.Input), 3)
		require.Equal(t, 1, w.Num("XLEN", w.keys.DeadLetters))
	})
}
