package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/soak"
	"github.com/streamlease/streamlease/bench/soak/handling"
	"github.com/streamlease/streamlease/test/servers"
)

// keysOf returns all keys of a server.
func keysOf(t *testing.T, client rueidis.Client) []string {
	t.Helper()
	keys, err := client.Do(context.Background(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	require.NoError(t, err)
	return keys
}

// TestSoakHoldsWhatIsPromised on a server that is not ours, which is left as it was.
func TestSoakHoldsWhatIsPromised(t *testing.T) {
	parallelSoak(t)
	server := servers.New(t, servers.Password("geheim"))
	s := results[soak.Result](t, "soak", "-for", "8s", "-pods", "3", "-streams", "60", "-session-ttl", "2s", "-lease-ttl", "4s", "-seed", "11",
		"-json", "-redis", "redis://:geheim@"+server.Addr())
	require.EqualValues(t, 11, s.Seed)
	require.Equal(t, 1, s.Rounds)
	require.Empty(t, s.Spared)
	troubles := 0
	for _, n := range s.Struck {
		troubles += n
	}
	require.GreaterOrEqual(t, troubles, 3)
	require.Greater(t, s.Announced, 60)
	excused := 0
	for _, n := range s.Excused {
		excused += n
	}
	require.GreaterOrEqual(t, s.Done+s.Unknown+s.Letters+excused, s.Announced)
	require.NotEmpty(t, s.ByHand)
	require.NotEmpty(t, s.Poisoned)
	require.LessOrEqual(t, s.Done+s.Unknown+s.Failed+s.HandedBack+s.Recovered, s.Ownerships)
	require.Positive(t, s.Failed)
	require.Positive(t, s.HandedBack)
	require.LessOrEqual(t, s.Without.P50, s.Without.Max)
	require.Zero(t, s.Lost)
	require.Zero(t, s.Missing)
	require.Empty(t, s.BadEnds)
	require.Empty(t, s.Overlaps)
	require.Zero(t, s.Left)
	require.Empty(t, keysOf(t, server.Client(t)))
}

// TestSoakFailsWhenAnnouncementsAreLost: somebody deletes some. The journals are kept, and the error says how to repeat the run.
func TestSoakFailsWhenAnnouncementsAreLost(t *testing.T) {
	parallelSoak(t)
	server := servers.New(t)
	client := server.Client(t)
	self, err := os.Executable()
	require.NoError(t, err)
	temporary := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self, "-goals", "soak", "-for", "1s", "-pods", "2", "-streams", "40", "-session-ttl", "500ms", "-lease-ttl", "1s",
		"-troubles", "pods,links", "-seed", "3", "-redis", "redis://"+server.Addr())
	cmd.Env = append(os.Environ(), "BE_BENCH=1", "TMPDIR="+temporary)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for over := false; !over; {
		for _, key := range keysOf(t, client) {
			if strings.HasSuffix(key, "-soak-input") {
				require.NoError(t, client.Do(t.Context(), client.B().Xtrim().Key(key).Maxlen().Threshold("0").Build()).Error())
			}
		}
		select {
		case err = <-ended:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Contains(t, out.String(), "goal MISSED  announcements that nobody finished: ")
	require.Contains(t, out.String(), "goal met     left on the server in the calm: 0")
	match := regexp.MustCompile(`^bench: seed 3, round 1: a promise did not hold; journals and logs are in (\S+)\n$`).FindStringSubmatch(said.String())
	require.NotNil(t, match, said.String())
	require.Equal(t, temporary, filepath.Dir(match[1]))
	text, err := os.ReadFile(filepath.Join(match[1], "ownerships.txt"))
	require.NoError(t, err)
	require.Regexp(t, `^round-1-pod-\d-\d held "streamlease-bench-\w+-soak:user-\d+" under token \d+ .*: announcement \d+ \w+\n`, string(text))
	require.Empty(t, keysOf(t, client))
}

// TestInterruptedSoakLeavesNothing, though pods may be paused or cut off at that moment.
func TestInterruptedSoakLeavesNothing(t *testing.T) {
	parallelSoak(t)
	server := servers.New(t)
	self, err := os.Executable()
	require.NoError(t, err)
	temporary := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self, "soak", "-troubles", "pods,links", "-session-ttl", "1s", "-lease-ttl", "2s", "-redis", "redis://"+server.Addr())
	cmd.Env = append(os.Environ(), "BE_BENCH=1", "TMPDIR="+temporary)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		again, err := filepath.Glob(filepath.Join(temporary, "*", "round-1-pod-*-2.journal"))
		require.NoError(t, err)
		return len(again) > 0
	}, time.Minute, 5*time.Millisecond, "a pod that was killed or stopped is followed by another")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Equal(t, "bench: interrupted; all that was started has ended\n", out.String())
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range lines {
		line, _ := os.ReadFile(path) // a process that has ended has none
		require.NotContains(t, string(line), temporary, "a pod, by the path of its journal")
	}
	client := server.Client(t)
	require.Eventually(t, func() bool { return len(keysOf(t, client)) == 0 }, 30*time.Second, 10*time.Millisecond)
}

func TestSoakRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"soak", "-pods", "1"},
		{"soak", "-streams", "0"},
		{"soak", "-partitions", "0"},
		{"soak", "-partitions", "100000"},
		{"soak", "-for", "0s"},
		{"soak", "-troubles", "weather"},
		{"soak", "-lease-ttl", "0s"},
		{"soak", "-session-ttl", "100ms"},
		{"soak", "-session-ttl", "6s"},
		{"soak", "-redis", "redis://127.0.0.1:1"},
	} {
		requireRefused(t, args...)
	}
}

// TestSoakOfMessagesHoldsWhatIsPromised in a short form, with troubles of processes only: those of a cluster take longer.
func TestSoakOfMessagesHoldsWhatIsPromised(t *testing.T) {
	parallelSoak(t)
	s := results[handling.Result](t, "soak", "messages", "-for", "20s", "-streams", "300", "-rate", "200", "-partitions", "2",
		"-lease-ttl", "4s", "-session-ttl", "2s", "-seed", "8", "-spare", "-json")
	require.NotEmpty(t, s.Struck)
	require.Greater(t, s.Sent, 500)
	require.GreaterOrEqual(t, s.Handled, s.Messages)
	require.GreaterOrEqual(t, s.Ownerships, 300)
	require.Zero(t, s.Missing+s.Unhandled+s.Disordered+s.Stale+s.Unexcused)
	require.Empty(t, s.BadEnds)
	require.Empty(t, s.Errors)
}

// TestSoakOfAFleetHoldsWhatIsPromised while processes are of two builds, of which one is not told what it may not know. Even shares take minutes,
// so they are not asked for.
func TestSoakOfAFleetHoldsWhatIsPromised(t *testing.T) {
	parallelSoak(t)
	self, err := os.Executable()
	require.NoError(t, err)
	s := results[soak.FleetResult](t, "soak", "balance", "-for", "12s", "-storm", "6s", "-streams", "100", "-partitions", "2", "-lease-ttl", "4s",
		"-session-ttl", "2s", "-seed", "7", "-balance", "off", "-old", self, "-json")
	require.EqualValues(t, 7, s.Seed)
	require.NotEmpty(t, s.Struck)
	require.Len(t, s.Rounds, 2)
	require.Greater(t, s.Starts, s.Older)
	require.Positive(t, s.Older)
	for _, r := range s.Rounds {
		require.GreaterOrEqual(t, r.Ownerships, 100)
		require.Positive(t, r.Owned)
		require.Len(t, r.Held, r.Processes)
		require.Zero(t, r.Lost)
	}
	require.Empty(t, s.Overlaps)
	require.Empty(t, s.BadEnds)
	require.Zero(t, s.Left)
}

func TestSoakOfAFleetRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"-processes", "1"}, {"-streams", "0"}, {"-partitions", "0"}, {"-for", "0s"}, {"-storm", "1ms"}, {"-calm", "0s"}, {"-lease-ttl", "0s"},
		{"-session-ttl", "1m"}, {"-balance", "odd"}, {"-old", "/nowhere"}, {"-redis", "redis://127.0.0.1:1"},
	} {
		requireRefused(t, append([]string{"soak", "balance"}, args...)...)
	}
}
