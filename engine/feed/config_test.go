package feed_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/servers"
)

func nothing(context.Context, *feed.Batch) error { return nil }

// An error names the field, the value and the remedy.
func TestInvalidConfig(t *testing.T) {
	e, err := engine.Open(servers.New(t).ClientOption(), service)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Shutdown(context.Background())) }()
	for text, c := range map[string]feed.Config{
		"Mode is 3; use Auto, Tracking or Polling":                 {Mode: 3},
		"Start is 2; use Earliest or Latest":                       {Start: 2},
		"OnFailure is 2; use FailStream or Skip":                   {OnFailure: 2},
		"Trim is 2; use TrimNever or TrimHandled":                  {Trim: 2},
		"MaxBatch is -1; use 1 to 10,000":                          {MaxBatch: -1},
		"MaxBatch is 10001; use":                                   {MaxBatch: 10_001},
		"MaxBytes is 1; use at least 65,536 bytes":                 {MaxBytes: 1},
		"Workers is -5; use":                                       {Workers: -5},
		"MaxRetries is -2; use 1 to 10,000, 0 for 3, or NoRetries": {MaxRetries: -2},
		"CheckpointEvery is 1ms; use 10 ms to 1 h":                 {CheckpointEvery: time.Millisecond},
		"Sweep is 1ms; use 1 s to 1 h, 0 for 60 s, or NoSweep":     {Sweep: time.Millisecond},
		"PollEvery is 2h0m0s; use":                                 {PollEvery: 2 * time.Hour},
		"RetryDelay is -1s; use":                                   {RetryDelay: -time.Second},
		"MaxRetryDelay is 1s; use RetryDelay to 24 h":              {RetryDelay: time.Minute, MaxRetryDelay: time.Second},
		"IdleDone is 1ms; use 100 ms to a year, or 0 for never":    {IdleDone: time.Millisecond},
		"Middleware 1 of 1 is nil; leave it out":                   {Middleware: []func(feed.Handler) feed.Handler{nil}},
		"Middleware 1 of 1 returned nil; return a handler":         {Middleware: []func(feed.Handler) feed.Handler{func(feed.Handler) feed.Handler { return nil }}},
	} {
		_, err := feed.New(e, nothing, c)
		require.ErrorIs(t, err, api.ErrInvalidConfig, text)
		require.ErrorContains(t, err, text)
	}
	_, err = feed.New(e, nil, feed.Config{})
	require.ErrorContains(t, err, "the handler is nil")
	_, err = feed.New(nil, nothing, feed.Config{})
	require.ErrorContains(t, err, "make one with engine.Open")
	f, err := feed.New(e, nothing, feed.Config{MaxRetries: feed.NoRetries, Sweep: feed.NoSweep, RetryDelay: time.Hour})
	require.NoError(t, err)
	require.Empty(t, f.Lag(10))
	require.Zero(t, f.Stats())
}

// An engine that was given a client cannot make the one that tracks, and says so before anything is read.
func TestEngineThatCannotDial(t *testing.T) {
	client := servers.New(t).Client(t)
	e, err := engine.New(client, service)
	require.NoError(t, err)
	_, err = feed.New(e, nothing, feed.Config{})
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "WithDial")
	_, err = feed.New(e, nothing, feed.Config{Mode: feed.Polling})
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(context.Background()))
}

// What an engine that can dial is asked connects to nothing.
func TestNewConnectsToNothing(t *testing.T) {
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}, service)
	require.NoError(t, err)
	_, err = feed.New(e, nothing, feed.Config{})
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(context.Background()))
}
