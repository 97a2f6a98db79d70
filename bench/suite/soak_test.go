package suite

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSoakTellsWhatDidNotHold(t *testing.T) {
	s := Soaked{
		SoakOptions: SoakOptions{For: time.Minute, Pods: 4, Streams: 300, Seed: 42},
		Rounds:      1, Struck: map[string]int{"killed": 1234, "cut": 5}, Outages: map[string]int{serverPaused: 6},
	}
	require.True(t, s.holds())
	text := func() string {
		var out strings.Builder
		writeSoaked(&out, s)
		return out.String()
	}
	require.Contains(t, text(), "Seed 42")
	require.Regexp(t, `pods killed +│ +1,234`, text())
	require.Regexp(t, `the server paused +│ +6`, text())
	require.Contains(t, text(), "with all that it had acknowledged")
	require.Equal(t, 3, strings.Count(text(), "goal met"))
	require.NotContains(t, text(), "Nothing happened to links")

	s.Spared, s.Outages = "several nodes", nil
	s.found = found{Overlaps: "overlap: two owners: …", Lost: 2, LostOf: []string{"s-3", "s-4"}}
	s.Left = Left{Input: 3, Pending: 2, Later: 1000, DeadLetters: 1, Leases: 7, Consumers: 4}
	require.False(t, s.holds())
	require.Equal(t, 3, strings.Count(text(), "goal MISSED"))
	require.Contains(t, text(), "no proxy can stand before several nodes")
	require.Contains(t, text(), "Nothing happened to the server")
	require.Contains(t, text(), "overlap: two owners")
	require.Contains(t, text(), "s-3, s-4")
	require.Contains(t, text(), "3 announcements, 2 of them pending, 1,000 put off, 1 dead letters, 7 leases, 4 consumers")
	require.False(t, (&Soaked{Left: Left{Pending: 1}}).holds())
}
