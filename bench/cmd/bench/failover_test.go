package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/suite"
)

func TestFailoverFindsEveryStreamAnOwner(t *testing.T) {
	parallel(t)
	const streams, session = 600, 2 * time.Second
	all := results[[]suite.FailedOver](t, "failover", "-streams", "600", "-pods", "3", "-session-ttl", "2s", "-json")
	require.Len(t, all, 2)
	for i, f := range all {
		require.Equal(t, i == 0, f.Killed)
		require.Equal(t, session, f.SessionTTL)
		require.Equal(t, 30*time.Second, f.LeaseTTL)
		require.Equal(t, streams, f.Retaken)
		require.Empty(t, f.Overlaps)
		require.Positive(t, f.P50)
		require.LessOrEqual(t, f.P50, f.P99)
		require.LessOrEqual(t, f.P99, f.Max)
		require.LessOrEqual(t, f.Max, f.All)
		require.Positive(t, f.ByScript["acquire"])
		require.LessOrEqual(t, f.ByScript["acquire"]+f.ByScript["recover"], f.Scripts)
		require.Less(t, f.Scripts, f.Commands)
		require.Less(t, f.Commands, f.Ran)
		require.InDelta(t, .75, f.Share, .25, "two took all")
	}
	killed, stopped := all[0], all[1]
	require.Greater(t, killed.Max, session/2, "a session that was beaten just now outlives its process")
	require.EqualValues(t, 3, killed.ByScript["recover"], "pages of 256")
	require.Zero(t, stopped.ByScript["recover"], "it handed back by itself")
}

func TestScanCostsTheSameHoweverMuchIsPending(t *testing.T) {
	all := results[[]suite.Scanned](t, "scan", "-pending", "10,3003", "-consumers", "4", "-looks", "3", "-json")
	require.Len(t, all, 2)
	require.Equal(t, all[0].Commands, all[1].Commands)
	require.EqualValues(t, 2, all[0].Scripts)
	require.EqualValues(t, 4, all[0].Commands["zadd"], "one a consumer")
	require.NotContains(t, all[0].Commands, "del", "what the measurement itself asks for is not counted")
	require.EqualValues(t, 3003, all[1].Pending)
	require.Positive(t, all[0].Took)
}

func TestFailoverAndScanAreReadable(t *testing.T) {
	parallel(t)
	out, err := bench(t, "-goals", "failover", "-streams", "300", "-pods", "2", "-session-ttl", "2s")
	require.NoError(t, err, out)
	require.Contains(t, out, "without an owner, p99")
	require.Contains(t, out, "goal met     SIGKILL, session 2s: streams that nobody owns: 0, at most 0")
	require.Contains(t, out, "goal met     stop, session 2s: journals that show two owners")
	out, err = bench(t, "-goals", "scan", "-pending", "10,100", "-looks", "1")
	require.NoError(t, err, out)
	require.Contains(t, out, "goal met     100 pending: commands a look")
}

// TestInterruptedBenchLeavesNothing: no directory, and none of its processes. All of them have its standard error, so Wait waits for them.
func TestInterruptedBenchLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "failover", "-streams", "300", "-session-ttl", "25s")
	cmd.Env = append(os.Environ(), "BE_BENCH=1")
	var text bytes.Buffer
	cmd.Stderr = &text
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		journals, err := filepath.Glob(filepath.Join(os.TempDir(), "*", "pod-2.journal"))
		require.NoError(t, err)
		return len(journals) == 1
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Equal(t, "bench: interrupted; all that was started has ended\n", text.String())
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestFailoverAndScanRefuseWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"failover", "-pods", "1"},
		{"failover", "-streams", "0"},
		{"failover", "-session-ttl", "soon"},
		{"failover", "-streams", "10", "-session-ttl", "1h"},
		{"scan", "-pending", "0"},
		{"scan", "-consumers", "0"},
	} {
		requireRefused(t, args...)
	}
}
