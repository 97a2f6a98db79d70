package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/suite"
)

func TestPipelineAsksAsAnotherTenantForEachBatchAndTick(t *testing.T) {
	parallel(t)
	all := results[[]suite.Pipelined](t, "pipeline", "-streams", "4000",
		"-batches", "16", "-ticks", "20ms", "-for", "1s", "-json")
	require.Len(t, all, 4)
	type kind struct {
		batch int
		tick  time.Duration
	}
	want := []kind{{}, {16, 100 * time.Millisecond}, {512, 100 * time.Millisecond}, {512, 20 * time.Millisecond}}
	for i, p := range all {
		require.Equal(t, want[i], kind{p.Batch, p.Tick})
		for _, x := range []suite.Probed{p.Ping, p.Get} {
			require.Greater(t, x.Calls, 10)
			require.Positive(t, x.P50)
			require.LessOrEqual(t, x.P50, x.P99)
			require.LessOrEqual(t, x.P99, x.P999)
			require.LessOrEqual(t, x.P999, x.Max)
		}
		require.Equal(t, p.Batch > 0, p.Renewals > 0)
		require.Equal(t, p.Batch > 0, p.Redis > 0)
	}
	require.Greater(t, all[1].Scripts, all[2].Scripts, "smaller batches are more")
}

func TestPipelineIsReadable(t *testing.T) {
	parallel(t)
	out, err := bench(t, "-goals", "pipeline", "-streams", "500", "-batches", "64", "-ticks", "100ms", "-for", "500ms")
	require.NoError(t, err, out)
	require.Contains(t, out, "The cheapest renewals are those in batches of")
	require.Regexp(t, `goal (met|MISSED) +batch 512, the default: µs of Redis a renewal`, out)
}
