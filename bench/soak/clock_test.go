package soak

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// TestClockIsSteppedForwardByLessThanTheMargin, since a longer step may make two owners. Steps back may have any length.
func TestClockIsSteppedForwardByLessThanTheMargin(t *testing.T) {
	for _, session := range []time.Duration{500 * time.Millisecond, 2 * time.Second, time.Minute} {
		c := &clock{session: session, rnd: rand.New(rand.NewPCG(1, 0))}
		var most, least time.Duration
		for range 1000 {
			step := c.step()
			most, least = max(most, step), min(least, step)
			require.True(t, step >= 0 || -step >= session-1, "%v", step)
		}
		margin := min(session/10, time.Second)
		require.Less(t, most, margin*4/5)
		require.Greater(t, most, margin/2)
		require.GreaterOrEqual(t, least, -maxStep)
		require.Less(t, least, -maxStep/2)
	}
}

// TestClockIsReset: how far it is off is known, whatever happened to the server.
func TestClockIsReset(t *testing.T) {
	server := servers.New(t, servers.OwnClock())
	c := &clock{server: server, session: time.Nanosecond, rnd: rand.New(rand.NewPCG(1, 0)), struck: make(map[string]int)}
	require.False(t, c.off())
	require.False(t, (*clock)(nil).off())
	c.ahead = -time.Hour
	require.True(t, c.off())
	require.NoError(t, c.reset())
	require.False(t, c.off())
}
