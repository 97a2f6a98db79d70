package servers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// spy is a test that records its failures for another test.
type spy struct {
	testing.TB
	logged, failed int
}

func (s *spy) Logf(string, ...any)   { s.logged++ }
func (s *spy) Errorf(string, ...any) { s.failed++ }

func TestPrograms(t *testing.T) {
	for _, p := range Available(t) {
		t.Run(p.String(), func(t *testing.T) {
			s := New(t, On(p))
			info, err := s.Info(t.Context(), "server")
			require.NoError(t, err)
			switch p {
			case Redis8:
				require.Regexp(t, `^8\.`, info["redis_version"])
				require.Empty(t, info["valkey_version"])
			case Valkey8:
				require.Regexp(t, `^8\.`, info["valkey_version"])
			}
			pid := s.PID()
			require.NoError(t, s.Restart(t.Context(), false))
			require.False(t, running(pid), "the started process is the server itself, not a wrapper")
		})
	}
}

func TestClusterOfEachProgram(t *testing.T) {
	for _, p := range Available(t, Redis8, Valkey8) {
		t.Run(p.String(), func(t *testing.T) {
			binary, err := p.Binary()
			require.NoError(t, err)
			c := NewCluster(t, ClusterOptions{Node: Options{Binary: binary}})
			slot, keys := keysOf(3)
			for _, k := range keys {
				set(t, c.Client(t), k, "v")
			}
			from, err := c.Owner(t.Context(), slot)
			require.NoError(t, err)
			replicas, err := c.Replicas(t.Context(), from)
			require.NoError(t, err)
			require.NoError(t, c.Failover(t.Context(), replicas[0], Graceful))
			require.NoError(t, c.AwaitReady(t.Context()))
			masters, err := c.Masters(t.Context())
			require.NoError(t, err)
			to := masters[0]
			if to == replicas[0] {
				to = masters[1]
			}
			m, err := c.BeginMove(t.Context(), slot, to)
			require.NoError(t, err)
			_, err = m.Some(t.Context(), 1)
			require.NoError(t, err)
			require.NoError(t, m.Finish(t.Context()))
			require.NoError(t, c.AwaitReady(t.Context()))
			require.Equal(t, "v", get(t, to, keys[2]))
		})
	}
}

func TestMissingProgramsAreReported(t *testing.T) {
	t.Setenv(EnvAllPrograms, "")
	t.Setenv(EnvPrograms, t.TempDir())
	_, err := Valkey8.Binary()
	require.ErrorIs(t, err, ErrNoBinary)
	require.ErrorContains(t, err, "make servers")
	recorded := &spy{TB: t}
	require.Equal(t, []Program{Default}, Available(recorded))
	require.Equal(t, 2, recorded.logged)
	require.Zero(t, recorded.failed)

	t.Setenv(EnvAllPrograms, "1")
	recorded = &spy{TB: t}
	require.Empty(t, Available(recorded, Redis8))
	require.Equal(t, 1, recorded.failed)
}

func TestProgramsOfAFolder(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(EnvPrograms, folder)
	want := filepath.Join(folder, "redis-8", "redis-server")
	require.NoError(t, os.Mkdir(filepath.Dir(want), 0o700))
	require.NoError(t, os.WriteFile(want, []byte("#!/bin/sh\n"), 0o700))
	path, err := Redis8.Binary()
	require.NoError(t, err)
	require.Equal(t, want, path)
}
