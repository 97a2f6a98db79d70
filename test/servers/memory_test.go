package servers

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestServerInMemory: it is started, paused, killed and stopped as the others are.
func TestServerInMemory(t *testing.T) {
	s := New(t, On(Memory), Password("secret"))
	set(t, s.Client(t), "k", "v")
	stats, err := s.CommandStats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, stats["set"].Calls)
	require.NoError(t, s.ResetStats(t.Context()))
	require.NoError(t, s.Pause())
	require.NoError(t, s.Resume())
	require.Equal(t, "v", get(t, s, "k"))

	pid := s.PID()
	require.Error(t, s.Restart(t.Context(), true), "it has no disk")
	require.NoError(t, s.Kill())
	require.False(t, running(pid))
	require.NoError(t, s.Restart(t.Context(), false))
	require.Empty(t, get(t, s, "k"))
	_, err = s.Call(t.Context(), "SHUTDOWN")
	require.Error(t, err)
	require.NoError(t, s.Restart(t.Context(), false))
	require.NotContains(t, Programs(), Memory, "no test runs on it unasked")
}

func TestServerInMemoryRefusesWhatItDoesNotDo(t *testing.T) {
	_, err := Start(t.Context(), Options{Binary: must(Memory.Binary()), Persist: true})
	require.ErrorContains(t, err, "a server in memory does not do that")
}

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}
