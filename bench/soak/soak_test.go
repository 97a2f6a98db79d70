package soak

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/trouble"
)

func TestResultTellsWhatDidNotHold(t *testing.T) {
	s := Result{
		Options: Options{For: time.Minute, Pods: 4, Streams: 300, Seed: 42, Troubles: Troubles()},
		Rounds:  1, Struck: map[string]int{"killed": 1234, "cut": 5}, Outages: map[string]int{serverPaused: 6},
	}
	require.True(t, s.holds())
	text := func() string {
		var out strings.Builder
		writeResult(&out, s)
		return out.String()
	}
	require.Contains(t, text(), "Seed 42")
	require.Regexp(t, `pods killed +│ +1,234`, text())
	require.Regexp(t, `the server paused +│ +6`, text())
	require.Contains(t, text(), "with all that it had acknowledged")
	require.Equal(t, 5, strings.Count(text(), "goal met"))
	require.Contains(t, text(), "The server's clock is stepped forward")
	require.NotContains(t, text(), "Only these troubles")
	require.NotContains(t, text(), "Links were left alone")

	s.Spared, s.Outages, s.NoClock = "several nodes", nil, "there is no compiler"
	s.ByHand, s.Poisoned = map[string]int{actAcked: 17}, map[string]int{"malformed": 18}
	s.Missing, s.Requeued, s.Erred, s.BadEnds = 3, 19, 20, []string{"round-1-pod-2-3: signal: killed"}
	s.Troubles = []string{Poison, actAcked}
	s.findings = findings{Overlaps: "overlap: two owners: …", Lost: 2, LostOf: []string{"s-3", "s-4"}, Letters: 21, Excused: map[string]int{excuseWaiting: 22}}
	s.Left = Left{Input: 3, Pending: 2, Stranded: 1, Later: 1000, DeadLetters: 1, Leases: 7, Consumers: 4}
	require.False(t, s.holds())
	require.Equal(t, 5, strings.Count(text(), "goal MISSED"))
	require.Contains(t, text(), "a proxy cannot stand in front of several nodes")
	require.Contains(t, text(), "The server, which is not ours, was left alone")
	require.Contains(t, text(), "overlap: two owners")
	require.Contains(t, text(), "s-3, s-4")
	require.Contains(t, text(), "3 announcements, 2 of them pending, 1 of them stranded, 1,000 delayed, 1 dead letters, 7 leases, 4 consumers")
	require.Contains(t, text(), "server's clock was left alone: there is no compiler")
	require.Contains(t, text(), "Only these troubles struck: poison, acked.")
	require.Contains(t, text(), "did not shut down cleanly: round-1-pod-2-3: signal: killed")
	for _, row := range []string{`by hand, acked +│ +17`, `poison entries: malformed +│ +18`, `requeued by hand +│ +19`, `with an error, which is allowed +│ +20`,
		`dead letters, which is allowed +│ +21`, `lost by hand, before it was delivered +│ +22`} {
		require.Regexp(t, row, text())
	}
	for _, broken := range []Result{{Left: Left{Pending: 1}}, {Left: Left{Stranded: 1}}, {Missing: 1}, {BadEnds: []string{"x"}}} {
		require.False(t, broken.holds(), "%+v", broken)
	}
}

func TestTroublesAreChosenByName(t *testing.T) {
	all, err := ParseTroubles("all")
	require.NoError(t, err)
	require.Equal(t, Troubles(), all)
	some, err := ParseTroubles("all, -clock,-acked")
	require.NoError(t, err)
	require.Len(t, some, len(all)-2)
	require.NotContains(t, some, OnClock)
	two, err := ParseTroubles("links,poison,links")
	require.NoError(t, err)
	require.Equal(t, []string{OnLinks, Poison}, two)
	for _, list := range []string{"", "pod", "-all", "pods,,links"} {
		_, err := ParseTroubles(list)
		require.Error(t, err, list)
	}
	o := Options{Troubles: []string{OnLinks, actTrimmed}}
	require.Equal(t, []string{actTrimmed}, o.acts())
	require.True(t, o.strikes(trouble.Trouble{OnLink: true}))
	require.False(t, o.strikes(trouble.Trouble{}))
}
