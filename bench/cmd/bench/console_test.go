package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/suite"
)

func TestConsoleIsWatched(t *testing.T) {
	parallel(t)
	all := results[[]suite.Watched](t, "console", "-streams", "100", "-viewers", "2", "-partitions", "1,2", "-for", "2500ms", "-json")
	require.Len(t, all, 2)
	for i, w := range all {
		require.Equal(t, i+1, w.Partitions)
		require.Positive(t, w.Sent)
		require.Positive(t, w.Idle)
	}
}

func TestConsoleRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{{"-streams", "0"}, {"-viewers", "0"}, {"-partitions", "none"}, {"-for", "1ms"}, {"-viewers", "1000", "-streams", "1", "-partitions", "1", "-for", "100ms"}} {
		requireRefused(t, append([]string{"console"}, args...)...)
	}
}
