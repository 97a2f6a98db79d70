package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

const (
	liveMonitors = 20
	patience     = 40 * time.Second
)

// fleet is what processes of a test share.
type fleet struct {
	t      *testing.T
	client rueidis.Client
	shared options
	file   string      // of monitors
	broken atomic.Bool // the target of site 7
	log    *slog.Logger

	mu     sync.Mutex
	alerts []Alert
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/7" && f.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(site.Close)
	hook := httptest.NewServer(http.HandlerFunc(f.alert))
	t.Cleanup(hook.Close)

	var all []Monitor
	for i := range liveMonitors {
		all = append(all, Monitor{Name: fmt.Sprintf("site %d", i), Target: fmt.Sprintf("%s/%d", site.URL, i), Every: Duration(time.Second)})
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	f.file = filepath.Join(t.TempDir(), "monitors.json")
	require.NoError(t, os.WriteFile(f.file, text, 0o600))
	server := servers.New(t)
	f.client = server.Client(t)
	f.shared = options{redis: "redis://" + server.Addr(), service: "uptime", webhook: hook.URL, keep: time.Hour}
	return f
}

func (f *fleet) alert(_ http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var a Alert
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.alerts = append(f.alerts, a); err != nil {
		f.t.Error(err)
	}
}

func (f *fleet) sent() []Alert {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Alert(nil), f.alerts...)
}

// start runs the program under a name, and returns when it is ready. It runs until stop or the end of the test.
func (f *fleet) start(name, db string) (address string, stop func()) {
	f.t.Helper()
	o := f.shared
	o.name, o.db, o.listen = name, db, free(f.t)
	ctx, cancel := context.WithCancel(f.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, f.log) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(f.t, <-ended)
	})
	f.t.Cleanup(stop)
	address = "http://" + o.listen
	f.until(name+" is ready", func() bool { _, ok := tried(address + "/ready"); return ok })
	return address, stop
}

func (f *fleet) until(what string, ok func() bool) {
	f.t.Helper()
	require.True(f.t, wait.For(patience, 50*time.Millisecond, ok), what)
}

// free returns an address that nobody listens on.
func free(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// tried is what is at an address, if anything is.
func tried(address string) (text string, ok bool) {
	answer, err := http.Get(address)
	if err != nil {
		return "", false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err == nil && answer.StatusCode == http.StatusOK
}

// Two processes share the monitors; one shows what both find. A site goes down, a process is replaced, and the site comes up: one alert for
// each change, and no check is missing.
func TestAFleetWatchesThroughADeploy(t *testing.T) {
	f := newFleet(t)
	db := filepath.Join(t.TempDir(), "uptime.db")
	page, _ := f.start("first", db)
	_, stop := f.start("second", "")
	shows := func(what ...string) func() bool {
		return func() bool {
			text, _ := tried(page)
			return !slices.ContainsFunc(what, func(s string) bool { return !strings.Contains(text, s) })
		}
	}
	table, err := schedule.NewTable(f.client, f.shared.service)
	require.NoError(t, err)
	require.NoError(t, declare(t.Context(), table, f.file, f.log))
	f.until("both own monitors, and all are up", shows("<b>20</b> monitors", `<b>20</b> <span class="state up">`, "first <b>1", "second <b>"))
	began := time.Now()

	events := follow(t, page+"/monitor/events?name=site+7")
	f.broken.Store(true)
	f.until("the site is down", func() bool { return len(f.sent()) == 1 })
	down := f.sent()[0]
	require.Equal(t, Down, down.Status)
	require.Equal(t, "site 7", down.Monitor)
	require.Equal(t, "status 500 Internal Server Error", down.Error)
	f.until("whoever looks sees that", func() bool { return strings.Contains(events.next(t), `class="down"`) })

	f.start("third", "")
	stop()
	f.until("the new process has taken monitors of the old one", shows("first <b>", "third <b>", `<b>1</b> <span class="state down">`))
	require.Len(t, f.sent(), 1)
	f.broken.Store(false)
	f.until("the site is up", func() bool { return len(f.sent()) == 2 })
	up := f.sent()[1]
	require.Equal(t, Up, up.Status)
	require.True(t, up.Since.After(down.Since))

	h := newHistory(t, db)
	defer h.close()
	for i := range liveMonitors {
		past, err := h.last(t.Context(), fmt.Sprintf("site %d", i), 1000)
		require.NoError(t, err)
		for k := range past[1:] {
			if past[k+1].At.Before(began) {
				break
			}
			require.Equal(t, time.Second, past[k].At.Sub(past[k+1].At), "site %d at %v", i, past[k].At)
		}
	}
}
