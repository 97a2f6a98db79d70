package handling

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/cluster"
)

func at(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func did(n uint64, token api.Token, seconds float64) note {
	return note{kind: handled, id: id{n, 0}, token: token, at: at(seconds)}
}

const (
	own, partition, elsewhere = 1, 2, 3 // slots of the stream, of its partition, and of another one
)

func slots(all ...uint16) *cluster.SlotSet {
	set := new(cluster.SlotSet)
	for _, slot := range all {
		set.AddRange(slot, slot)
	}
	return set
}

func struck(name, process string, hit *cluster.SlotSet, from, until float64) storm.Struck {
	return storm.Struck{Name: name, Process: process, Hit: hit, From: at(from), Until: at(until)}
}

// audited checks one stream with the messages 1 to 3, which processes a and b read.
func audited(a, b []note, troubles ...storm.Struck) (f Findings) {
	x := audit{interval: 2 * time.Second, troubles: troubles, slots: func(int) (uint16, uint16) { return own, partition }}
	x.add("a", a)
	x.add("b", b)
	x.stream(0, []id{{1, 0}, {2, 0}, {3, 0}}, &f)
	f.Named, f.After = nil, nil
	return f
}

func TestAuditFindsEachFault(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []note
		want Findings
	}{
		"nothing is wrong":             {a: []note{did(1, 5, 1), did(2, 5, 2)}, b: []note{did(3, 6, 3)}, want: Findings{Handled: 3}},
		"one is missing":               {a: []note{did(1, 5, 1), did(3, 5, 2)}, want: Findings{Handled: 2, Missing: 1}},
		"nobody read it":               {want: Findings{Missing: 3}},
		"out of order":                 {a: []note{did(2, 5, 1), did(1, 5, 2), did(3, 5, 3)}, want: Findings{Handled: 3, Disordered: 1}},
		"twice in one ownership":       {a: []note{did(1, 5, 1), did(2, 5, 2), did(2, 5, 3), did(3, 5, 4)}, want: Findings{Handled: 4, Disordered: 1}},
		"by an owner that is replaced": {a: []note{did(1, 5, 1), did(3, 5, 3)}, b: []note{did(2, 6, 2)}, want: Findings{Handled: 3, Stale: 1}},
		"after the next one began": {a: []note{did(1, 5, 1), did(2, 5, 3), did(3, 5, 4)},
			b: []note{{kind: started, token: 6, at: at(2)}}, want: Findings{Handled: 3, Ownerships: 1, Stale: 2}},
		"what the stream does not have": {a: []note{did(1, 5, 1), did(2, 5, 2), did(3, 5, 3), did(4, 5, 4)},
			want: Findings{Handled: 4, Forgotten: 1, Unexcused: 1}},
		"a gap where all is there": {a: []note{did(1, 5, 1), {kind: gap, token: 5, at: at(2)}, did(2, 5, 4), did(3, 5, 5)},
			want: Findings{Handled: 3, Gaps: 1, Unexcused: 1}},
		"lost and handed back": {a: []note{did(1, 5, 1), {kind: lost, token: 5, at: at(2)}},
			b: []note{did(2, 6, 3), did(3, 6, 3), {kind: released, token: 6, at: at(4)}}, want: Findings{Handled: 3, Losses: 1, Unforced: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := audited(c.a, c.b)
			c.want.Messages = 3
			require.Equal(t, c.want, got)
			fine := c.want.Missing+c.want.Disordered+c.want.Stale+c.want.Unexcused == 0
			require.Equal(t, fine, got.hold())
		})
	}
}

func TestAuditExcusesOnlyWhatATroubleExplains(t *testing.T) {
	during := func(name, process string, hit *cluster.SlotSet) storm.Struck {
		return struck(name, process, hit, 10, 11)
	}
	earlier := struck(storm.Moved, "", slots(partition), 7, 9)
	for name, c := range map[string]struct {
		handled  float64 // by a; then all by b at 12 s
		troubles []storm.Struck
		excused  bool
	}{
		"nothing happened":                           {9, nil, false},
		"it was killed":                              {9, []storm.Struck{during(storm.Killed, "a", nil)}, true},
		"it was killed, too long after":              {7, []storm.Struck{during(storm.Killed, "a", nil)}, false},
		"it was killed while nothing could be saved": {7, []storm.Struck{during(storm.Killed, "a", nil), earlier}, true},
		"it was killed after a trouble elsewhere": {7,
			[]storm.Struck{during(storm.Killed, "a", nil), struck(storm.Moved, "", slots(elsewhere), 7, 9)}, false},
		"it was killed while tables were full": {7, []storm.Struck{during(storm.Killed, "a", nil), struck(storm.FullUp, "", nil, 7, 9)}, false},
		"another was killed":                   {9, []storm.Struck{during(storm.Killed, "b", nil)}, false},
		"it was stopped":                       {10.5, []storm.Struck{during(storm.Paused, "a", nil)}, true},
		"it did not run":                       {10.5, []storm.Struck{during(storm.Stood, "a", nil)}, true},
		"it was restarted":                     {9, []storm.Struck{during(storm.Restarted, "a", nil)}, false},
		"the master was killed":                {9, []storm.Struck{during(storm.Crashed, "", slots(partition))}, true},
		"another master was killed":            {9, []storm.Struck{during(storm.Crashed, "", slots(own, elsewhere))}, false},
		"the master handed over":               {9, []storm.Struck{during(storm.Failover, "", slots(partition))}, false},
		"a master has no script":               {9, []storm.Struck{during(storm.Flushed, "", slots(partition))}, false},
		"the slot moved":                       {9, []storm.Struck{during(storm.Moved, "", slots(partition))}, false},
		"tracking tables were full":            {9, []storm.Struck{during(storm.FullUp, "", nil)}, false},
		"the master stood still":               {9, []storm.Struck{during(storm.Frozen, "", slots(partition))}, true},
		"a server was slow":                    {9, []storm.Struck{during(storm.Slow, "", nil)}, true},
		"the trouble came after it all":        {9, []storm.Struck{struck(storm.Killed, "a", nil, 12.5, 13)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := audited([]note{did(1, 5, c.handled)}, []note{did(1, 6, 12), did(2, 6, 12), did(3, 6, 12)}, c.troubles...)
			want := Findings{Messages: 3, Handled: 4, Repeated: 1}
			if !c.excused {
				want.Repeated, want.Unexcused = 0, 1
			}
			require.Equal(t, want, got)
		})
	}
}

func TestAuditAcceptsThatAKilledMasterForgets(t *testing.T) {
	forgotten := []note{did(1, 5, 1), did(2, 5, 9), did(4, 5, 9.5), {kind: gap, token: 5, id: id{1, 0}, at: at(11)}, did(2, 5, 12), did(3, 5, 13)}
	crash := struck(storm.Crashed, "", slots(own), 10, 11)
	require.Equal(t, Findings{Messages: 3, Handled: 5, Gaps: 1, Forgotten: 1}, audited(forgotten, nil, crash))
	crash.Hit = slots(partition)
	require.Equal(t, 1, audited(forgotten, nil, crash).Unexcused, "that of another slot")
	crash.Hit, crash.From, crash.Until = slots(own), at(20), at(21)
	require.Equal(t, 1, audited(forgotten, nil, crash).Unexcused, "much later")
}

func TestNotesAreReadAsTheyAreWritten(t *testing.T) {
	for _, n := range []note{{handled, 7, id{1 << 41, 3}, 1 << 52, time.Hour}, {gap, 8, id{}, 9, 10}} {
		text := n.appendTo(nil)
		require.Len(t, text, noteSize)
		require.Equal(t, n, noteOf(text))
	}
}

func TestIDs(t *testing.T) {
	x, err := parseID("12-3")
	require.NoError(t, err)
	require.Equal(t, id{12, 3}, x)
	require.Equal(t, "12-3", x.String())
	require.True(t, id{1, 9}.less(id{2, 0}))
	require.True(t, id{1, 1}.less(id{1, 2}))
	require.False(t, id{1, 1}.less(id{1, 1}))
	for _, wrong := range []string{"", "1", "a-1", "1-b"} {
		_, err := parseID(wrong)
		require.Error(t, err, wrong)
	}
}
