package console

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// follow opens a live page and returns its lines.
func follow(t *testing.T, ctx context.Context, at string) (lines <-chan string, ended <-chan struct{}) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport}).Do(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	found, done := make(chan string, 10_000), make(chan struct{})
	go func() {
		defer close(done)
		defer response.Body.Close()
		scanner := bufio.NewScanner(response.Body)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			found <- scanner.Text()
		}
	}()
	return found, done
}

// until waits for a line that contains a text.
func until(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case line := <-lines:
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			require.Fail(t, "no such line", text)
		}
	}
}

func TestALivePageSeesWhatHappens(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	c := h.console()
	c.site.sampler.part = 1 // a busy machine makes samples slow, and then rare
	at := h.serve(c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, ended := follow(t, ctx, at+"live?view=overview")
	until(t, lines, "data: status")
	until(t, lines, "Well, with 1 note") // a consumer that says nothing of what it holds
	until(t, lines, "data: problems")
	h.dead("lost", "permanent: x")
	until(t, lines, "1 dead letter: its stream was given up on.")
	cancel()
	<-ended
	for _, view := range []string{"fleet", "fleet&from=5", "partitions", "maintenance", "status"} {
		ctx, cancel := context.WithCancel(t.Context())
		lines, ended := follow(t, ctx, at+"live?view="+view)
		until(t, lines, "data: sampling")
		cancel()
		<-ended
	}
}

// Live pages end when the console is closed, so that a server can shut down.
func TestCloseEndsLivePages(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	c := h.console()
	mux := http.NewServeMux()
	mux.Handle("/ops/", c)
	server := httptest.NewUnstartedServer(mux)
	server.Config.RegisterOnShutdown(c.Close)
	server.Start()
	defer server.Close()
	lines, ended := follow(t, t.Context(), server.URL+"/ops/live?view=fleet")
	until(t, lines, "data: fleet")
	require.NoError(t, server.Config.Shutdown(t.Context()))
	<-ended
}

func TestThereAreOnlySoManyLivePages(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	c := h.console()
	for range mostViewers {
		_, leave, ok := c.site.sampler.watch(mostViewers)
		require.True(t, ok)
		defer leave()
	}
	a := get(t, c, "/live?view=fleet")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Equal(t, "30", a.header.Get("Retry-After"))
	require.Contains(t, a.text, fmt.Sprintf("%d pages follow the fleet already", mostViewers))
	require.Equal(t, http.StatusOK, get(t, c, "/fleet").status, "the page is there all the same")
}

// stuck takes in nothing, as a viewer does whose connection hangs.
type stuck struct {
	http.ResponseWriter
	deadlines int
}

func (s *stuck) Write([]byte) (int, error)           { return 0, context.DeadlineExceeded }
func (s *stuck) SetWriteDeadline(at time.Time) error { s.deadlines++; return nil }

func TestASlowViewerIsDropped(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	c := h.console()
	w := &stuck{ResponseWriter: httptest.NewRecorder()}
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/live?view=fleet", nil))
	require.Equal(t, 1, w.deadlines)
	c.site.sampler.mu.Lock()
	defer c.site.sampler.mu.Unlock()
	require.Empty(t, c.site.sampler.mu.watchers)
}
