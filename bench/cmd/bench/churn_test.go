package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/suite"
	"github.com/streamlease/streamlease/engine"
)

func TestChurnRaisesTheRateUntilItIsTooMuch(t *testing.T) {
	parallel(t)
	// One handler at a time that waits for each Done does some thousands a second: never a million.
	r := results[suite.Churned](t, "churn", "-rates", "200,1000000", "-for", "300ms", "-workers", "1", "-json")
	require.Equal(t, 1, r.Workers)
	require.NotEmpty(t, r.Steps)
	require.NotEmpty(t, r.Limit)
	for i, s := range r.Steps {
		require.Equal(t, []int{200, 1_000_000}[i], s.Rate)
		require.Positive(t, s.Announced)
		require.Positive(t, s.Done)
		require.Positive(t, s.Own.P50)
		require.LessOrEqual(t, s.Own.P50, s.Own.P99)
		require.LessOrEqual(t, s.Own.P99, s.Own.Max)
		require.GreaterOrEqual(t, s.End.Max, s.Own.P50)
		require.Positive(t, s.Scripts)
		require.Positive(t, s.Redis)
		require.Positive(t, s.Handlers)
		require.Positive(t, s.Machine)
	}
}

func TestChurnIsReadable(t *testing.T) {
	parallel(t)
	out, err := bench(t, "churn", "-rates", "1,2", "-for", "2s")
	require.NoError(t, err, out)
	require.Contains(t, out, "until owned, p99")
	require.Contains(t, out, "16 at a time")
	require.Equal(t, 16, engine.DefaultWorkers)
	require.Contains(t, out, "A core that only executed the same could do")
	require.Regexp(t, "None of these rates was too much|The limit is", out)
}

func TestChurnAndPipelineRefuseWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"churn", "-rates", "10,5"},
		{"churn", "-rates", "0"},
		{"churn", "-for", "1ms"},
		{"churn", "-workers", "-1"},
		{"pipeline", "-streams", "0"},
		{"pipeline", "-batches", "0"},
		{"pipeline", "-ticks", "often"},
		{"pipeline", "-for", "0s"},
		{"pipeline", "-streams", "10", "-batches", "5000", "-for", "100ms"},
	} {
		requireRefused(t, args...)
	}
}
