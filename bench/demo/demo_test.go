package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// output is what the demo writes, to be looked at while it runs.
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

// start runs the demo in a temporary directory of its own and returns what it writes and its status.
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

// requireNothingLeft checks that the server is gone, and its directory.
func requireNothingLeft(t *testing.T, out *output) {
	t.Helper()
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = net.Dial("tcp", address(t, out))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func address(t *testing.T, out *output) string {
	t.Helper()
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(out.String())
	require.NotEmpty(t, address, "%s", out)
	return address
}

func TestDemoHoldsAllAndHandsAllBack(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		out, status := start(t, options{streams: 700, leaseTTL: 3 * time.Second, hold: 2500 * time.Millisecond}, terminal)
		require.Equal(t, 0, <-status, "%s", out)
		require.Contains(t, out.String(), "No lease was lost: 700 of 700 are held, 700 lease keys")
		require.Contains(t, out.String(), "Handed all 700 back")
		require.Contains(t, out.String(), "held 700  renewals")
		require.Equal(t, terminal, strings.Contains(out.String(), "\x1b["))
		requireNothingLeft(t, out)
	}
}

func TestDemoInterruptedLeavesNothing(t *testing.T) {
	out, status := start(t, options{streams: 700, leaseTTL: 6 * time.Second, hold: 50 * time.Second}, false)
	await(t, out, "held 700")
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGINT))
	require.Equal(t, 130, <-status, "%s", out)
	require.Contains(t, out.String(), "Interrupted")
	requireNothingLeft(t, out)
}

func TestDemoFailsWhenALeaseIsLost(t *testing.T) {
	out, status := start(t, options{streams: 700, leaseTTL: 3 * time.Second, hold: 50 * time.Second}, false)
	await(t, out, "held 700")
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address(t, out)}, DisableCache: true, ForceSingleClient: true})
	require.NoError(t, err)
	defer client.Close()
	key := "{demo-input}:lease:demo:user:99"
	require.NoError(t, client.Do(context.Background(), client.B().Del().Key(key).Build()).Error())
	require.Equal(t, 1, <-status, "%s", out)
	require.Contains(t, out.String(), "FAILED: stream demo:user:99 was lost")
	requireNothingLeft(t, out)
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999"} {
		require.Equal(t, want, grouped(n))
	}
}
