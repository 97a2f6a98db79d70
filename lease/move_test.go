package lease

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of a batch one item cannot be carried. The call fails as a whole, is halved, and all others get through.
func TestMoveFindsTheOneThatIsToBlame(t *testing.T) {
	items := make([]Disposition, 100)
	for i := range items {
		items[i].Entry = strconv.Itoa(i)
	}
	size := NewPageSize(64)
	calls := 0
	got := make(map[string]string)
	err := Move(items, &size, func(batch []Disposition) ([]Outcome, error) {
		calls++
		require.LessOrEqual(t, len(batch), 64)
		if slices.ContainsFunc(batch, func(r Disposition) bool { return r.Entry == "37" }) {
			return nil, refusedItem("ERR user_script:1: too many results to unpack")
		}
		return slices.Repeat([]Outcome{{Verdict: Moved}}, len(batch)), nil
	}, func(r Disposition, o Outcome) { got[r.Entry] += string(rune(o.Verdict)) + o.Reason })
	require.NoError(t, err)
	require.Len(t, got, 100)
	for entry, what := range got {
		if entry == "37" {
			require.Contains(t, what, "too many results")
		} else {
			require.Equal(t, "m", what, "once")
		}
	}
	require.Less(t, calls, 40)
}

// What has nothing to do with the items ends it, with the rest undone.
func TestMoveEndsAtWhatIsNobodysFault(t *testing.T) {
	for name, failure := range map[string]error{"refused": refusedItem("OOM command not allowed"), "no answer": context.DeadlineExceeded} {
		size := NewPageSize(2)
		calls, told := 0, 0
		err := Move(make([]Disposition, 10), &size, func(batch []Disposition) ([]Outcome, error) {
			if calls++; calls == 2 {
				return nil, failure
			}
			return slices.Repeat([]Outcome{{Verdict: Moved}}, len(batch)), nil
		}, func(Disposition, Outcome) { told++ })
		require.ErrorIs(t, err, failure, name)
		require.Equal(t, []int{2, 2}, []int{calls, told}, name)
		want := 2
		if name == "no answer" {
			want = 1 // the next time fewer are tried
		}
		require.Equal(t, want, size.Size(), name)
	}
	size := NewPageSize(2)
	require.Error(t, Move(make([]Disposition, 2), &size, func(batch []Disposition) ([]Outcome, error) {
		return slices.Repeat([]Outcome{{Verdict: Left}}, len(batch)), nil
	}, func(Disposition, Outcome) {}), "a script that never processes anything would be retried forever")
}

// An entry goes from one way to the next until one of them takes it.
func TestMoveRedirects(t *testing.T) {
	size := NewPageSize(10)
	var asked []string
	answers := map[Dest]Outcome{ToInput: {Verdict: TooWide}, ToDeadLetters: {Verdict: TooHeavy, Reason: `17 {"DataS`}, ToReference: {Verdict: Referred}}
	var ended []Disposition
	require.NoError(t, Move([]Disposition{{Dest: ToInput}}, &size, func(batch []Disposition) ([]Outcome, error) {
		asked = append(asked, string(rune(batch[0].Dest)))
		return []Outcome{answers[batch[0].Dest]}, nil
	}, func(r Disposition, _ Outcome) { ended = append(ended, r) }))
	require.Equal(t, []string{"q", "d", "r"}, asked)
	require.Equal(t, 17, ended[0].Size)
	require.Equal(t, `{"DataS`, ended[0].Cut)
	require.Contains(t, ended[0].Reason, DeadTooWide, "why it became a dead letter at all")
}

func TestOnlyTheEntryIsBlamedForWhatLiesInIt(t *testing.T) {
	for text, blames := range map[string]bool{
		"ERR user_script:90: too many results to unpack script: 0123, on @user_script:90.":       true,
		"ERR Error running script (call to f_0123): @user_script:90: too many results to unpack": true,
		"ERR wrong number of arguments for 'xadd' command":                                       true,
		"stack overflow": true,
		"ERR Error running script (call to f_0123): @user_script:1: OOM command not allowed when used memory > 'maxmemory'.": false,
		"OOM command not allowed when used memory > 'maxmemory'.":                                                            false,
		"READONLY You can't write against a read only replica.":                                                              false,
		"MISCONF Redis is configured to save RDB snapshots":                                                                  false,
		"LOADING Redis is loading the dataset in memory":                                                                     false,
		"CLUSTERDOWN Hash slot not served":                                                                                   false,
		"TRYAGAIN Multiple keys request during rehashing of slot":                                                            false,
		"NOPERM this user has no permissions to run the 'xack' command":                                                      false,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                                                  false,
		"NOGROUP No such key 'x' or consumer group 'y'":                                                                      false,
		"MOVED 3999 127.0.0.1:6381":                                                                                          false,
		"DLQFULL x is at its limit":                                                                                          false,
		"ERR The stream has exhausted the last possible ID, unable to add more items":                                        false,
		"ERR The ID specified in XADD is equal or smaller than the target stream top item":                                   false,
	} {
		require.Equal(t, blames, Blames(refusedItem(text)), text)
	}
	require.False(t, Blames(context.DeadlineExceeded), "no answer says nothing of an entry")
	require.False(t, Blames(nil))
}

func TestSetbacksAreExhaustedByWhatIsToBlameOnly(t *testing.T) {
	var s Setbacks
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	blamed, full := refusedItem("stack overflow"), refusedItem("OOM full")
	for n := range MoveTries {
		_, ok := s.Exhausted("a")
		require.False(t, ok)
		s.Refused("a", blamed, 100, second)
		s.Refused("b", full, 100, second)
		require.Equal(t, n < MoveTries-1, s.Waits("a", 100), "once its tries are exhausted it is moved at once")
		require.True(t, s.Waits("b", 100))
	}
	why, ok := s.Exhausted("a")
	require.True(t, ok)
	require.Equal(t, blamed, why)
	_, ok = s.Exhausted("b")
	require.False(t, ok, "a full server makes no dead letters")
	at, ok := s.Next()
	require.True(t, ok)
	require.EqualValues(t, 100, at)
	s.Retain(func(id string) bool { return id == "b" })
	require.Equal(t, 1, s.Len())
	s.Moved("b")
	_, ok = s.Next()
	require.False(t, ok)
}
