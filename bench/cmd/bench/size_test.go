package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/suite"
)

func TestSizeEndsInARecommendation(t *testing.T) {
	parallel(t)
	sized := results[suite.Sized](t, "size", "-streams", "200,1000", "-for", "1s", "-partitions", "2", "-fleet", "5000", "-failed", "1", "-json")
	require.Len(t, sized.Held, 2)
	for _, h := range sized.Held {
		require.Zero(t, h.Lost)
		require.Positive(t, h.RSS)
		require.Positive(t, h.BytesIn)
		require.Positive(t, h.Notified.P50)
		require.Positive(t, h.TakingCPU)
	}
	require.Positive(t, sized.Costs.Move)
	require.Positive(t, sized.Costs.Bare)
	require.Positive(t, sized.Costs.MoveRate)
	require.Positive(t, sized.Costs.HandBackRate)
	require.Equal(t, 1000, sized.Advice.HandBack.Streams)
	require.Positive(t, sized.Advice.HandBack.Timeout)
	require.Equal(t, 6, sized.Advice.Pods)
	require.Equal(t, 1000, sized.Advice.Survivor)
	require.Positive(t, sized.Advice.Request.Memory)
}

func TestSizeRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"-streams", "0"}, {"-failed", "-1"}, {"-per-pod", "-1"}, {"-partitions", "0"}, {"-for", "1ms"}, {"-fleet", "0"},
		{"-streams", "10", "-tick", "1h"}, {"-streams", "10", "-batch", "100000"}, {"-streams", "10", "-session-ttl", "1h"},
	} {
		requireRefused(t, append([]string{"size"}, args...)...)
	}
}
