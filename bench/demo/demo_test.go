package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// output is the output of the demo, which can be read while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs the demo in a temporary directory of its own, and returns its output and its status.
func start(t *testing.T, o options, terminal bool) (*output, <-chan int) {
	t.Setenv("TMPDIR", t.TempDir())
	out := new(output)
	status := make(chan int, 1)
	go func() { status <- run(o, out, terminal) }()
	return out, status
}

func await(t *testing.T, out *output, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), text) }, time.Minute, 5*time.Millisecond, "%s", out)
}

// requireNothingLeft checks that the server, its directory and the other process are gone.
func requireNothingLeft(t *testing.T, out *output) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = net.Dial("tcp", address(t, out))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorIs(t, syscall.Kill(other(t, out), 0), syscall.ESRCH)
}

func address(t *testing.T, out *output) string {
	t.Helper()
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(out.String())
	require.NotEmpty(t, address, "%s", out)
	return address
}

// other returns the process ID of the child.
func other(t *testing.T, out *output) int {
	t.Helper()
	match := regexp.MustCompile(`process (\d+)`).FindStringSubmatch(out.String())
	require.NotNil(t, match, "%s", out)
	pid, err := strconv.Atoi(match[1])
	require.NoError(t, err)
	return pid
}

// quick is a run that takes seconds, long is one that holds until it is disturbed.
var (
	quick = options{streams: 700, leaseTTL: 3 * time.Second, sessionTTL: 2 * time.Second, hold: 2500 * time.Millisecond}
	long  = options{streams: 700, leaseTTL: 6 * time.Second, hold: 50 * time.Second}
)

func TestDemoTakesOverAndHandsAllBack(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		out, status := start(t, quick, terminal)
		require.Equal(t, 0, <-status, "%s", out)
		for _, text := range []string{
			"this one 350 and its child, process", "They have read 2,100 messages as owners",
			"held 350 + 350  renewals", "with SIGKILL: 350 streams have no owner now",
			"Each of the 350 had no owner for some time: p50", "recover 2, sweep 1", "held 700 + 0  renewals",
			"the journals of both processes show 1,050 ownerships of 700 streams",
			"Producers wrote 2,100 messages more", "none is missing or out of turn, and 0 of 4,200 came a second time",
			"Nothing is lost: 700 of 700 are held, 700 lease keys", "0 were disowned", "Handed all 700 back",
		} {
			require.Contains(t, out.String(), text)
		}
		require.Equal(t, terminal, strings.Contains(out.String(), "\x1b["))
		requireNothingLeft(t, out)
	}
}

func TestDemoInterruptedLeavesNothing(t *testing.T) {
	for when, o := range map[string]options{"Holding them": long, "with SIGKILL": {streams: 700, hold: time.Second}} {
		out, status := start(t, o, false)
		await(t, out, when)
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
		require.Equal(t, 130, <-status, "%s", out)
		require.Contains(t, out.String(), "Interrupted")
		requireNothingLeft(t, out)
	}
}

// TestDemoFailsWhenALeaseIsLost of the child, which read first, or of this process.
func TestDemoFailsWhenALeaseIsLost(t *testing.T) {
	for _, stream := range []string{"demo:user:99", "demo:user:650"} {
		out, status := start(t, long, false)
		await(t, out, "held 350 + 350")
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address(t, out)}, DisableCache: true, ForceSingleClient: true})
		require.NoError(t, err)
		defer client.Close()
		n, err := client.Do(context.Background(), client.B().Del().Key("{demo-input}:lease:"+stream).Build()).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.Equal(t, 1, <-status, "%s", out)
		require.Contains(t, out.String(), "FAILED: stream "+stream+" was lost")
		requireNothingLeft(t, out)
	}
}

func TestDemoFailsWhenTheOtherProcessEnds(t *testing.T) {
	out, status := start(t, long, false)
	await(t, out, "held 350 + 350")
	require.NoError(t, syscall.Kill(other(t, out), syscall.SIGKILL))
	require.Equal(t, 1, <-status, "%s", out)
	require.Contains(t, out.String(), "FAILED: the other process has ended: signal: killed")
	requireNothingLeft(t, out)
}

func TestDemoRefusesWhatMakesNoSense(t *testing.T) {
	out := new(output)
	require.Equal(t, 1, run(options{streams: 1}, out, false))
	require.Contains(t, out.String(), "FAILED: -streams is 1")
	out, status := start(t, options{streams: 10, leaseTTL: time.Millisecond}, false)
	require.Equal(t, 1, <-status)
	require.Contains(t, out.String(), "FAILED: the other process has ended")
}

// TestNothingOutlivesAKilledDemo: neither the other process nor the server.
func TestNothingOutlivesAKilledDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // the directory of the server is left there
	self, err := os.Executable()
	require.NoError(t, err)
	out := new(output)
	cmd := exec.Command(self, "-streams", "700", "-for", "50s")
	cmd.Env = append(os.Environ(), envMain+"=1")
	cmd.Stdout = out
	// The other process has it, too, so Wait waits for both.
	cmd.Stderr = out
	require.NoError(t, cmd.Start())
	await(t, out, "held 350 + 350")
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		_, err := net.Dial("tcp", address(t, out))
		return errors.Is(err, syscall.ECONNREFUSED)
	}, time.Minute, 5*time.Millisecond)
}
