package main

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// TestAnInterruptLeavesNothingBehind on a server that is not ours, but locks that expire by themselves.
func TestAnInterruptLeavesNothingBehind(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"compare", "-streams", "100", "-ttl", "1s", "-for", "1m", "-rounds", "1"},
		{"size", "-streams", "100", "-for", "1m"},
	} {
		server := servers.New(t)
		client := server.Client(t)
		keys := func() []string {
			all, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
			require.NoError(t, err)
			return all
		}
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self, append(args, "-redis", "redis://"+server.Addr())...)
		cmd.Env = append(os.Environ(), "BE_BENCH=1")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return len(keys()) > 100 }, time.Minute, 10*time.Millisecond)
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Wait(), &exit)
		require.Equal(t, "bench: interrupted; all that was started has ended\n", out.String())
		require.Eventually(t, func() bool { return len(keys()) == 0 }, 30*time.Second, 10*time.Millisecond, "%v", keys)
	}
}
