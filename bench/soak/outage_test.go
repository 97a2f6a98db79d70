package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// TestOutagesLeaveTheServerUp: it answers afterwards and has what it had acknowledged, whatever the outage was and
// whenever it was cut short.
func TestOutagesLeaveTheServerUp(t *testing.T) {
	ctx := context.Background()
	server := servers.New(t, servers.Persist())
	_, err := server.Call(ctx, "SET", "k", "v")
	require.NoError(t, err)
	o := &outages{server: server, session: 200 * time.Millisecond, rnd: rand.New(rand.NewPCG(1, 0)), struck: make(map[string]int)}
	for len(o.struck) < 2 {
		storm, end := context.WithTimeout(ctx, 2*time.Second)
		require.NoError(t, o.run(storm))
		end()
		value, err := server.Call(ctx, "GET", "k")
		require.NoError(t, err)
		require.Equal(t, "v", value)
		require.True(t, o.down.TryLock(), "pods may start")
		o.down.Unlock()
	}
}

func TestRetryAsksAgainOnlyWhereThereAreOutages(t *testing.T) {
	calls := 0
	ask := func() error {
		if calls++; calls < 3 {
			return errors.New("no answer")
		}
		return nil
	}
	require.Error(t, (*outages)(nil).retry(context.Background(), ask))
	require.Equal(t, 1, calls)
	require.NoError(t, new(outages).retry(context.Background(), ask))
	require.Equal(t, 3, calls)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	calls = 0
	require.Error(t, new(outages).retry(ctx, ask))
	require.Equal(t, 1, calls)
}
