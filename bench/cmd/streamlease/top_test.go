package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// terminal is a terminal of a test.
type terminal struct {
	mu   sync.Mutex
	text strings.Builder
	env  *env
	keys *io.PipeWriter
	over chan int // the exit status
}

func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *terminal) shown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// onTerminal starts the command on a terminal of 100 by 12 characters.
func (f *fleet) onTerminal(ctx context.Context, args ...string) *terminal {
	in, keys := io.Pipe()
	t := &terminal{keys: keys, over: make(chan int, 1)}
	t.env = testEnv("")
	t.env.in, t.env.out, t.env.errs = in, t, io.Discard
	t.env.screen = func(any) screen { return screen{terminal: true, width: 100, height: 12} }
	f.T.Cleanup(func() { keys.Close() })
	go func() { t.over <- t.env.run(ctx, f.args(args...)) }()
	return t
}

func TestTopOnATerminal(t *testing.T) {
	f := newFleet(t, "a", "b")
	f.publish("1", "2", "3")
	f.settled(3, 0, 0)
	screen := f.onTerminal(t.Context(), "top", "-every", "100ms", "-timeout", "1s")
	f.until(func() bool { return strings.Count(screen.shown(), home) >= 2 })
	require.True(t, strings.HasPrefix(screen.shown(), enter+home), "%.100q", screen.shown())
	for picture := range strings.SplitSeq(screen.shown(), home) {
		require.LessOrEqual(t, strings.Count(picture, "\r\n"), 11, "no more than the terminal has")
	}
	require.Contains(t, screen.shown(), "announced 3   lag 0   pending 3")

	// It goes on, and says so, while nothing can be read.
	require.NoError(t, f.server.Kill())
	f.until(func() bool { return strings.Contains(screen.shown(), "the rest is from before") })
	_, after, _ := strings.Cut(screen.shown(), "the rest is from before")
	require.Contains(t, after, "announced 3")
	_, err := screen.keys.Write([]byte("xq"))
	require.NoError(t, err)
	require.Equal(t, statusDone, <-screen.over)
	require.True(t, strings.HasSuffix(screen.shown(), leave))
}

func TestTopEndsByCtrlC(t *testing.T) {
	f := newFleet(t)
	f.publish("1")
	for _, keys := range []string{"\x03", ""} {
		ctx, cancel := context.WithCancel(t.Context())
		screen := f.onTerminal(ctx, "top")
		f.until(func() bool { return strings.Contains(screen.shown(), "No process holds or takes streams.") })
		if keys != "" {
			_, err := screen.keys.Write([]byte(keys))
			require.NoError(t, err)
		} else {
			cancel() // as a signal does
		}
		require.Equal(t, statusDone, <-screen.over)
		require.True(t, strings.HasSuffix(screen.shown(), leave))
		cancel()
	}
}

// Without a terminal looks follow each other until a signal, with -json as lines.
func TestTopWithoutATerminal(t *testing.T) {
	f := newFleet(t)
	f.publish("1")
	for _, args := range [][]string{{"top", "-every", "100ms"}, {"top", "-every", "100ms", "-json"}} {
		ctx, cancel := context.WithCancel(t.Context())
		screen := &terminal{}
		e := testEnv("")
		e.out, e.errs = screen, screen
		over := make(chan int, 1)
		go func() { over <- e.run(ctx, f.args(args...)) }()
		f.until(func() bool { return strings.Count(screen.shown(), "\n") > 12 })
		cancel()
		require.Equal(t, statusDone, <-over)
		safe(t, screen.shown())
		if len(args) > 3 {
			for line := range strings.Lines(screen.shown()) {
				var l look
				require.NoError(t, json.Unmarshal([]byte(line), &l))
				require.Equal(t, 1, l.Lag)
			}
		}
	}
}

func TestFiguresOfProcesses(t *testing.T) {
	f := newFleet(t)
	f.publish("1")
	var looks atomic.Int64
	process := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := looks.Add(1)
		fmt.Fprintf(w, `# TYPE streamlease_held gauge
streamlease_held{service="shop",partition="0"} 3
streamlease_held{service="shop",partition="1"} 4
streamlease_held{service="other",partition="0"} 100
# TYPE streamlease_handler_queue_depth gauge
streamlease_handler_queue_depth{service="shop"} 5
# TYPE streamlease_settling gauge
streamlease_settling{service="shop",partition="0"} 1
# TYPE streamlease_renewals_total counter
streamlease_renewals_total{service="shop",result="kept"} %[1]d
# TYPE streamlease_renewal_lateness_seconds histogram
streamlease_renewal_lateness_seconds_bucket{service="shop",le="0.1"} %[1]d
streamlease_renewal_lateness_seconds_bucket{service="shop",le="0.5"} %[2]d
streamlease_renewal_lateness_seconds_bucket{service="shop",le="+Inf"} %[2]d
streamlease_renewal_lateness_seconds_sum{service="shop"} 1
streamlease_renewal_lateness_seconds_count{service="shop"} %[2]d
`, 1000*n, 1100*n)
	}))
	defer process.Close()
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\x1b[2J\xff\n") }))
	defer hostile.Close()
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1\n") }))
	defer foreign.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()

	args := []string{"top", "-once"}
	for _, s := range []*httptest.Server{process, hostile, foreign, gone} {
		args = append(args, "-metrics", s.URL)
	}
	l := decoded[look](f, statusDone, args...)
	require.Len(t, l.Metrics, 4)
	one := l.Metrics[0]
	require.Equal(t, []int{7, 5, 1}, []int{one.Held, one.Queue, one.Settling})
	require.Greater(t, *one.Renewals, 10.0)
	require.InDelta(t, 0.5, *one.Lateness, 0)
	require.Contains(t, l.Metrics[1].Error, "no metrics in the text format")
	require.Contains(t, l.Metrics[2].Error, "no metrics of service shop")
	require.Contains(t, l.Metrics[3].Error, "404")
	text := f.table(args...)
	require.Contains(t, row(t, text, process.URL), "≤ 500 ms 5 0")
	require.Contains(t, text, "1 partition settling")
	require.Contains(t, text, "404 Not Found")
}

func TestP99(t *testing.T) {
	require.Nil(t, p99(nil, nil))
	same := map[float64]float64{1: 5}
	require.Nil(t, p99(same, same))
	require.InDelta(t, 2, *p99(map[float64]float64{1: 0, 2: 100, 3: 100}, map[float64]float64{}), 0)
	require.Equal(t, "http://u:xxxxx@h/", withoutSecrets("http://u:secret@h/"))
}
