package servers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSentinel(t *testing.T) {
	s := NewSentinel(t, SentinelOptions{Server: Options{Password: "secret"}})
	ctx := t.Context()
	client := s.Client(t)
	require.Len(t, s.Servers(), 3)
	require.Len(t, s.Sentinels(), 3)
	first, err := s.Master(ctx)
	require.NoError(t, err)
	require.Equal(t, s.Servers()[0], first)
	set(t, client, "k", "1")
	require.Equal(t, "1", get(t, first, "k"))
	require.NoError(t, AwaitInStep(ctx, first, s.Servers()[1:]...), "writes not replicated yet would be lost")

	second, err := s.Failover(ctx)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.NoError(t, s.AwaitReady(ctx))
	eventually(t, client, "k", "1")
	for _, other := range s.Servers() {
		if other != second {
			require.NoError(t, AwaitInStep(ctx, second, other))
		}
	}

	require.NoError(t, s.Sentinels()[0].Kill())
	require.NoError(t, second.Kill())
	third, err := s.AwaitMaster(ctx, second)
	require.NoError(t, err, "two of three sentinels are enough")
	require.NotEqual(t, second, third)
	eventually(t, client, "k", "1")

	require.NoError(t, s.Restart(ctx, second))
	require.NoError(t, s.Sentinels()[0].Restart(ctx, false))
	require.NoError(t, s.AwaitReady(ctx))
	require.Equal(t, "1", get(t, second, "k"), "it is a replica")
}

func TestSentinelStops(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s, err := StartSentinel(t.Context(), SentinelOptions{Replicas: 1, Sentinels: 1, DownAfter: 2 * time.Second})
	require.NoError(t, err)
	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop())
	for _, one := range append(s.Servers(), s.Sentinels()...) {
		require.False(t, running(one.PID()))
	}
	requireEmpty(t, tmp)
	_, err = s.Master(t.Context())
	require.Error(t, err)
	_, err = StartSentinel(t.Context(), SentinelOptions{Server: Options{Dir: tmp}})
	require.Error(t, err)
}
