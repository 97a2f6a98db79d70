package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/balance"
)

// TestBalanceFollowsEveryStream in a run that is as short as it can be: too short for shares to become even, whatever engines do. That no
// stream is lost, and none has two owners, the command checks by itself.
func TestBalanceFollowsEveryStream(t *testing.T) {
	parallel(t)
	const streams = 150
	self, err := os.Executable()
	require.NoError(t, err)
	r := results[balance.Result](t, "balance", "-streams", "150", "-processes", "3", "-step", "100ms", "-within", "300ms", "-stay", "100ms", "-rest", "2s",
		"-for", "200ms", "-rounds", "2", "-old", self, "-json")
	require.Empty(t, r.Left)
	require.Len(t, r.Changes, 5)
	for i, part := range []balance.Part{balance.Scale, balance.Drain, balance.Kill, balance.Deploy, balance.Cold} {
		c := r.Changes[i]
		require.Equal(t, part, c.Part)
		require.Equal(t, streams, c.Streams)
		require.Zero(t, c.Lost, part)
		require.Empty(t, c.Overlaps, part)
		require.NotEmpty(t, c.Series, part)
		require.LessOrEqual(t, c.Moves.Gap.P50, c.Moves.Gap.Max)
	}
	scaled, drained, killed, deployed, cold := r.Changes[0], r.Changes[1], r.Changes[2], r.Changes[3], r.Changes[4]
	require.Equal(t, []int{1, 3, 3, 2, 2, 1}, []int{scaled.Processes, scaled.After, drained.Processes, drained.After, killed.Processes, killed.After})
	require.Zero(t, drained.Moves.Dead)
	require.Equal(t, killed.Moves.All, killed.Moves.Dead)
	require.Greater(t, killed.Moves.Orphan.Max, 3*time.Second, "a session outlives its process")
	require.GreaterOrEqual(t, deployed.Moves.All, streams, "each stream has another owner in the end")
	require.Positive(t, deployed.Moves.Gap.P50)
	require.Zero(t, cold.Moves.Dead)
	require.Positive(t, cold.Owned)
	require.Positive(t, r.Steady.Ended)
	require.Zero(t, r.Steady.Lost)
	require.Len(t, r.Flap.With.Held, 1)
	require.Len(t, r.Flap.Without.Held, 1)
	require.Zero(t, r.Flap.With.Lost+r.Flap.Without.Lost)
	require.Len(t, r.Beats.Fleets, 3)
	for _, f := range r.Beats.Fleets {
		require.NotEmpty(t, f.Windows)
		require.Positive(t, f.Windows[0].Ran)
		require.Positive(t, f.Windows[0].CPU)
	}
	require.Len(t, r.Added, 4)
	for _, a := range r.Added {
		require.Len(t, a.Rounds, 2)
		for _, l := range a.Latency {
			require.Positive(t, l.P50)
			require.LessOrEqual(t, l.P50, l.P99)
		}
	}
}

func TestBalanceIsReadable(t *testing.T) {
	parallel(t)
	out, err := bench(t, "-goals", "balance", "-streams", "100", "-processes", "2", "-parts", "scale,drain", "-within", "100ms", "-stay", "100ms")
	require.NoError(t, err, out)
	require.Contains(t, out, "scale, 1 → 2")
	require.Contains(t, out, "without an owner, handed back, p99")
	require.Contains(t, out, "goal met     streams that nobody owns: 0, at most 0")
}

func TestBalanceRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"-streams", "0"}, {"-processes", "1"}, {"-streams", "3", "-processes", "4"}, {"-parts", "half"}, {"-balance", "odd"}, {"-old", "/nowhere"}, {"-step", "0s"}, {"-within", "1ms"},
		{"-rounds", "0"}, {"-redis", "redis://127.0.0.1:1"},
	} {
		requireRefused(t, append([]string{"balance"}, args...)...)
	}
}
