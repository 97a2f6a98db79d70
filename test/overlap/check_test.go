package overlap

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/virtual"
)

func record(party, stream string, token api.Token, from, until time.Duration) Record {
	return Record{Party: party, Stream: stream, Token: token, From: from, Until: until}
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		records []Record
		want    string // part of the error; empty: none
	}{
		"one after the other": {records: []Record{record("a", "s", 1, 0, 5), record("b", "s", 2, 6, 9)}},
		"given in any order":  {records: []Record{record("b", "s", 2, 6, 9), record("a", "s", 1, 0, 5)}},
		"other streams at the same time": {
			records: []Record{record("a", "s", 1, 0, 5), record("b", "u", 1, 0, 5)}},
		"nothing recorded": {want: "no records"},
		"overlapping in part": {
			records: []Record{record("a", "s", 1, 0, 5), record("b", "s", 2, 4, 9)}, want: "two owners"},
		"at the same moment": {
			records: []Record{record("a", "s", 1, 0, 5), record("b", "s", 2, 5, 9)}, want: "two owners"},
		"a single moment in the middle": {
			records: []Record{record("a", "s", 1, 0, 5), record("b", "s", 2, 3, 3)}, want: "two owners"},
		"with the one before the last": {
			records: []Record{record("a", "s", 1, 0, 9), record("b", "s", 2, 1, 2), record("c", "s", 3, 8, 10)},
			want:    "c held"},
		"with itself": {
			records: []Record{record("a", "s", 1, 0, 5), record("a", "s", 2, 4, 9)}, want: "two owners"},
		"the same twice": {
			records: []Record{record("a", "s", 1, 0, 5), record("a", "s", 1, 0, 5)}, want: "two owners"},
		"token falls": {
			records: []Record{record("a", "s", 2, 0, 5), record("b", "s", 1, 6, 9)}, want: "token did not rise"},
		"token stays": {
			records: []Record{record("a", "s", 2, 0, 5), record("b", "s", 2, 6, 9)}, want: "token did not rise"},
		"no token": {records: []Record{record("a", "s", 0, 0, 5)}, want: "malformed"},
		"ends before it starts": {
			records: []Record{record("a", "s", 1, 5, 4)}, want: "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(tc.records)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestCheckListsOnlyTheFirstFaults(t *testing.T) {
	var records []Record
	for i := range 100 {
		records = append(records, record("a", "s", api.Token(i+1), 0, 1))
	}
	err := Check(records)
	require.ErrorContains(t, err, "79 more faults")
	require.Len(t, strings.Split(err.Error(), "\n"), maxListed+1)
}

// TestCheckAgreesWithEveryMoment compares Check with a naive model: who held the stream at each moment.
func TestCheckAgreesWithEveryMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "records")
		records := make([]Record, n)
		holders := make(map[time.Duration]int)
		double := false
		for i := range records {
			from := time.Duration(rapid.IntRange(0, 30).Draw(t, "from"))
			until := from + time.Duration(rapid.IntRange(0, 6).Draw(t, "long"))
			records[i] = record("p", "s", api.Token(from+1), from, until)
			for at := from; at <= until; at++ {
				holders[at]++
				double = double || holders[at] > 1
			}
		}
		err := Check(records)
		if got := err != nil && strings.Contains(err.Error(), "two owners"); got != double {
			t.Fatalf("two owners: %v, model: %v: %v", got, double, err)
		}
	})
}

// lease is held until a point in time.
type lease struct{ until time.Time }

func (l lease) Stream() string           { return "s" }
func (l lease) Token() api.Token         { return 7 }
func (l lease) Remaining() time.Duration { return max(0, time.Until(l.until)) }

func TestRecorderNotesWhatItSawHeld(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		r := NewRecorder("a", NewClock())
		l := lease{until: time.Now().Add(10 * time.Second)}
		time.Sleep(time.Second)
		require.Equal(t, 9*time.Second, r.Look(l))
		time.Sleep(2 * time.Second)
		require.Equal(t, 7*time.Second, r.Look(l))
		time.Sleep(8 * time.Second)
		require.Zero(t, r.Look(l))
		require.Equal(t, []Record{record("a", "s", 7, time.Second, 3*time.Second)}, r.Records())
	})
}

func TestRecorderIgnoresLeasesThatAreNotHeld(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		r := NewRecorder("a", NewClock())
		require.Zero(t, r.Look(lease{until: time.Now()}))
		require.Empty(t, r.Records())
	})
}
