package feed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// What a Preflight cannot check is an error that says what to give it.
func TestPreflightRefusesWhatAFeedWould(t *testing.T) {
	client := servers.New(t).Client(t)
	for _, c := range []struct {
		says    string
		config  feed.Config
		streams []string
		opts    []engine.Option
	}{
		{"Mode is 9", feed.Config{Mode: 9}, []string{"events:*"}, nil},
		{"no data streams to check the rights for", feed.Config{}, nil, nil},
		{"the name is empty", feed.Config{}, []string{"events:*", ""}, nil},
		{"partitions: -1", feed.Config{}, []string{"events:*"}, []engine.Option{engine.WithPartitions(-1)}},
	} {
		_, err := feed.Preflight(t.Context(), client, service, c.config, c.streams, c.opts...)
		require.ErrorIs(t, err, api.ErrInvalidConfig)
		require.ErrorContains(t, err, c.says)
	}
	_, err := feed.Preflight(t.Context(), nil, service, feed.Config{}, []string{"events:*"})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
}

// With no rights to miss, it reports what engine.Preflight does, and changes nothing.
func TestPreflightOfAUserWhoMayDoEverything(t *testing.T) {
	client := servers.New(t).Client(t)
	report, err := feed.Preflight(t.Context(), client, service, feed.Config{Mode: feed.Tracking, Start: feed.Latest, Trim: feed.TrimHandled}, []string{"*"})
	require.NoError(t, err)
	require.NoError(t, report.Err())
	require.Empty(t, report.Of(preflight.Rights))
	require.Empty(t, report.Of(preflight.Tracking))
	ofEngine, err := engine.Preflight(t.Context(), client, service)
	require.NoError(t, err)
	require.Len(t, report.Findings, len(ofEngine.Findings))
	n, err := client.Do(t.Context(), client.B().Dbsize().Build()).AsInt64()
	require.NoError(t, err)
	require.Zero(t, n)
}
