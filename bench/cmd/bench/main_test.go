package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/streamlease/streamlease/bench/suite"
)

// TestMain lets the test binary be the bench command, which starts its own program as a worker.
func TestMain(m *testing.M) {
	if os.Getenv("BE_BENCH") != "" {
		main()
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "1000"); err != nil { // lanes limit it
		panic(err)
	}
	goleak.VerifyTestMain(m,
		// The library of the worker pool keeps a pool of its own from the start of the program to its end.
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// Tests start whole processes and mostly wait for them, but for a dozen at a time there is no processor: a soak fails when a session is lost
// without a trouble. So one soak runs at a time, and two other tests beside it, however many cores there are.
var (
	soaks  = newLane(1)
	others = newLane(2)
)

// parallel lets a test run beside others.
func parallel(t *testing.T) { t.Helper(); others.join(t) }

// parallelSoak lets the test of a soak run beside others, none of which is that of a soak.
func parallelSoak(t *testing.T) { t.Helper(); soaks.join(t) }

// lane runs some tests at a time, in the order of the files: the longest are among the first.
type lane struct {
	mu                 sync.Mutex
	left               sync.Cond
	width, joined, ran int
}

func newLane(width int) *lane {
	l := &lane{width: width}
	l.left.L = &l.mu
	return l
}

// join returns when it is the turn of the test.
func (l *lane) join(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	place := l.joined
	l.joined++
	l.mu.Unlock()
	t.Parallel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for place >= l.ran+l.width {
		l.left.Wait()
	}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ran++
		l.left.Broadcast()
	})
}

// bench runs the command and returns what it wrote, on standard output first.
func bench(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	out, said, err := run(t, nil, args...)
	return out + said, err
}

// run runs the command with more variables in its environment, and returns its standard output and its standard error.
func run(t *testing.T, env []string, args ...string) (out, said string, err error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(context.Background(), self, args...)
	cmd.Env = append(append(os.Environ(), "BE_BENCH=1"), env...)
	var text, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &errors
	err = cmd.Run()
	t.Log(errors.String())
	return text.String(), errors.String(), err
}

// requireRefused runs the command, which must fail and say why in one line.
func requireRefused(t *testing.T, args ...string) {
	t.Helper()
	out, err := bench(t, args...)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%v: %s", args, out)
	require.Regexp(t, `^bench: .+\n$`, out, "%v", args)
}

// results runs a measurement with -json and returns its results. Engines may log on standard error meanwhile, as that they are late on a busy
// machine.
func results[T any](t *testing.T, args ...string) (r T) {
	t.Helper()
	out, said, err := run(t, nil, args...)
	require.NoError(t, err, out+said)
	var report struct {
		Command, Machine, Redis string
		Results                 json.RawMessage
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report), out)
	require.NotEmpty(t, report.Machine)
	require.NotEmpty(t, report.Redis)
	require.Contains(t, report.Command, args[0])
	require.NoError(t, json.Unmarshal(report.Results, &r))
	return r
}

func TestHoldMeasuresEachSize(t *testing.T) {
	parallel(t)
	sizes := []int{300, 600}
	held := results[[]suite.Held](t, "hold", "-streams", "300,600", "-lease-ttl", "3s", "-for", "2s", "-json")
	require.Len(t, held, len(sizes))
	for i, h := range held {
		require.Equal(t, sizes[i], h.Streams)
		require.Zero(t, h.Lost)
		require.Positive(t, h.Goroutines)
		require.LessOrEqual(t, h.Peak, 50)
		require.Positive(t, h.HeapPerStream)
		require.InDelta(t, 75, h.Announced, 50, "bytes of the announcement, and little more")
		require.Greater(t, h.RedisPerStream, h.Announced)
		require.Less(t, h.RedisPerStream, 2000.)
		require.Positive(t, h.Renewals)
		require.Positive(t, h.Commands)
		require.Positive(t, h.ByName["evalsha"])
		require.Positive(t, h.LatenessMax)
		require.LessOrEqual(t, h.LatenessP50, h.LatenessMax)
	}
}

func TestHoldIsReadable(t *testing.T) {
	parallel(t)
	out, err := bench(t, "hold", "-goals", "-streams", "200", "-lease-ttl", "3s", "-for", "1s")
	require.NoError(t, err, out)
	require.Contains(t, out, "heap a stream")
	require.Contains(t, out, "goal met     200 streams: leases lost: 0, at most 0")
}

func TestTakeAndDoneCountEveryStream(t *testing.T) {
	parallel(t)
	taken := results[suite.Taken](t, "take", "-streams", "700", "-rounds", "2", "-json")
	require.Len(t, taken.Rounds, 2)
	require.Positive(t, taken.Median)
	require.Positive(t, taken.XaddMid)
	ended := results[suite.Ended](t, "done", "-streams", "700", "-rounds", "1", "-workers", "8", "-json")
	require.Equal(t, 8, ended.Workers)
	require.Len(t, ended.Rounds, 1)
	require.Equal(t, 700, ended.Rounds[0].Calls)
	require.Positive(t, ended.Rounds[0].Scripts)
	require.LessOrEqual(t, ended.Rounds[0].Scripts, ended.Rounds[0].All)
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"hold", "-streams", "many"},
		{"hold", "-streams", "0"},
		{"hold", "-streams", "10", "-lease-ttl", "1ms", "-for", "1s"},
		{"take", "-rounds", "0"},
		{"done", "-streams", "0"},
		{"scale", "-pods", "0"},
		{"scale", "-lost", "1000"},
		{"scale", "-lost", "few"},
		{"scale", "-masters", "65"},
		{"scale", "-from", "absent.json"},
		{"compare", "-ttl", "1ms"},
		{"compare", "-rounds", "0"},
	} {
		requireRefused(t, args...)
	}
}
