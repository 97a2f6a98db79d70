package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/messages"
)

// TestFeedIsComparedUnderEveryLoad in a run that is as short as it can be. That every message was handled, and nothing else, the command
// checks by itself.
func TestFeedIsComparedUnderEveryLoad(t *testing.T) {
	parallel(t)
	r := results[messages.Result](t, "feed", "-streams", "60", "-rates", "300", "-spreads", "even,zipf", "-for", "200ms", "-rest", "200ms", "-most", "0", "-backlog", "3000", "-json")
	require.Empty(t, r.Left)
	require.Len(t, r.Cells, 2)
	for i, c := range r.Cells {
		require.Equal(t, []load.Spread{load.Even, load.Zipf}[i], c.Spread)
		require.Empty(t, c.Without)
		require.Len(t, c.Rounds, 1)
		require.Positive(t, c.Rounds[0].None.Redis)
		for _, cost := range []*messages.Cost{c.Rounds[0].Blocking, c.Rounds[0].Feed} {
			require.EqualValues(t, 60, cost.Messages)
			require.Positive(t, cost.Redis)
			require.Positive(t, cost.Client)
			require.Positive(t, cost.P50)
			require.LessOrEqual(t, cost.P50, cost.P99)
			require.LessOrEqual(t, cost.P99, cost.Max)
			require.Positive(t, cost.Ran["xadd"])
		}
	}
	require.Len(t, r.Idle, 4)
	require.EqualValues(t, 60, r.Idle[2].Connections, "one a stream")
	require.Less(t, r.Idle[3].Connections, r.Idle[2].Connections)
	require.Less(t, r.Idle[3].Heap, r.Idle[2].Heap)
	require.Len(t, r.Backlogs, 1)
	require.Equal(t, 3000, r.Backlogs[0].Messages)
	require.Positive(t, r.Backlogs[0].Rounds[0].Blocking.Rate)
	require.Positive(t, r.Backlogs[0].Rounds[0].Feed.Rate)
	require.Len(t, r.Leaves, 1)
	for _, m := range []messages.Model{messages.Owned, messages.Feed} {
		require.Positive(t, r.Leaves[0].Rounds[0][m].Took)
	}
	require.Len(t, r.Tracking, 3)
	require.Positive(t, r.Hung.During.P99)
	require.Positive(t, r.Checkpoints.Alone)
	require.Greater(t, r.Checkpoints.Along, r.Checkpoints.Renewed/2)
}

func TestFeedRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"-streams", "0"}, {"-rates", "many"}, {"-spreads", "odd"}, {"-for", "1ms"}, {"-rounds", "0"}, {"-most", "-1"}, {"-backlog", "0"}, {"-parts", "half"},
		{"-redis", "redis://127.0.0.1:1"},
	} {
		requireRefused(t, append([]string{"feed"}, args...)...)
	}
}
