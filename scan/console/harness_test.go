package console

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	commands "github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
)

// harness is a service on a server, whose consumers live and die by script calls alone, and its console.
type harness struct {
	commands.Console

	t      testing.TB
	server *servers.Server
	layout *cluster.Layout
	leases *lease.Store
}

const worker = "worker-0.AAAA"

func newHarness(t testing.TB, partitions int) *harness {
	t.Helper()
	server := servers.New(t)
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(t, err)
	h := &harness{t: t, server: server, layout: layout, Console: commands.Console{T: t, Client: server.Client(t)}}
	h.leases = lease.NewStore(layout, lease.Settings{
		LeaseTTL: 30 * time.Second, SessionTTL: 10 * time.Second, Gap: time.Hour, Settle: true, Timeout: 20 * time.Second,
	}, h.Client, h.Client, nil)
	require.NoError(t, h.leases.Agree(t.Context()))
	for p := range partitions {
		_, err := h.leases.Open(t.Context(), p, worker, 0)
		require.NoError(t, err)
	}
	return h
}

// layoutOf is that of the service with another number of partitions.
func (h *harness) layoutOf(partitions int) *cluster.Layout {
	h.t.Helper()
	layout, err := cluster.NewLayout("shop", partitions)
	require.NoError(h.t, err)
	return layout
}

// console returns a console that is closed with the test.
func (h *harness) console(opts ...Option) *Console {
	h.t.Helper()
	c := New(h.Client, "shop", append([]Option{WithInterval(MinInterval), WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	h.t.Cleanup(c.Close)
	return c
}

// serve has a server at /ops/ for a handler.
func (h *harness) serve(c http.Handler) string {
	h.t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/ops/", c)
	server := httptest.NewServer(mux)
	h.t.Cleanup(server.Close)
	return server.URL + "/ops/"
}

// announce adds an announcement and returns its ID.
func (h *harness) announce(stream string) string {
	h.t.Helper()
	text, err := lease.EncodeAnnouncement(stream, json.RawMessage(`{"n":1}`))
	require.NoError(h.t, err)
	return h.Text("XADD", h.layout.Keys(h.layout.Of(stream)).Input, "*", lease.FieldAnnouncement, text)
}

// own announces a stream and has the worker own it.
func (h *harness) own(stream string) *lease.Entry {
	h.t.Helper()
	p := h.layout.Of(stream)
	h.announce(stream)
	raw, err := h.leases.Read(h.t.Context(), p, worker, 1, time.Millisecond)
	require.NoError(h.t, err)
	require.Len(h.t, raw, 1)
	e, err := lease.ParseEntry(h.layout, p, raw[0].ID, raw[0].Body)
	require.NoError(h.t, err)
	_, takes, err := h.leases.Acquire(h.t.Context(), p, worker, []*lease.Entry{&e})
	require.NoError(h.t, err)
	require.Equal(h.t, lease.Acquired, takes[0].Verdict)
	return &e
}

// requeue has the worker give up on a stream, or delay it.
func (h *harness) requeue(stream string, to lease.Dest, reason string) {
	h.t.Helper()
	e := h.own(stream)
	out, err := h.leases.Requeue(h.t.Context(), h.layout.Of(stream), worker, []lease.Disposition{{
		Key: e.Key, Entry: e.ID, Token: lease.AnyToken, Dest: to, Retries: 3, Crashes: lease.KeepCount, Reason: reason, Delay: time.Hour,
	}})
	require.NoError(h.t, err)
	require.Equal(h.t, lease.Moved, out[0].Verdict, out[0].Reason)
}

func (h *harness) dead(stream, reason string) {
	h.t.Helper()
	h.requeue(stream, lease.ToDeadLetters, reason)
}
func (h *harness) delayed(stream string) { h.t.Helper(); h.requeue(stream, lease.ToLater, "") }

// answer is a page as a browser gets it.
type answer struct {
	status int
	header http.Header
	text   string
}

// get asks a handler for a page.
func get(t testing.TB, c http.Handler, target string) answer {
	t.Helper()
	return do(t, c, httptest.NewRequest(http.MethodGet, target, nil))
}

// post sends a form, as the browser does from a page of the console.
func post(t testing.TB, c http.Handler, pairs ...string) answer {
	t.Helper()
	form := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "/act", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return do(t, c, r)
}

func do(t testing.TB, c http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	c.ServeHTTP(w, r.WithContext(ctx))
	text, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	return answer{w.Code, w.Header(), string(text)}
}
