package browser

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/scan/console"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	service    = "shop"
	partitions = 2
)

// Names that a page must show and not obey.
var (
	markup   = `<img src=x onerror=alert(1)><script>alert(2)</script>"'&`
	turned   = "\u202egnp.exe\u202c \u2066hidden\u200b\x1b[31m"
	endless  = strings.Repeat("0123456789abcdef", cluster.MaxStreamName/16-1)
	unbroken = strings.Repeat("w", 300)
)

// Processes: one has the longest name that there may be.
var processes = []string{"ant", "bee", strings.Repeat("c", cluster.MaxConsumerID)}

// fleet is a service with processes, and its console on a real server.
type fleet struct {
	t         *testing.T
	inspector *scan.Inspector
	mended    atomic.Bool // handlers no longer fail
	at        string      // address of the console
}

// newFleet starts one with streams that are owned, delayed and given up on, of plain and of hostile names.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	server := servers.New(t)
	client := server.Client(t)
	quiet := slog.New(slog.DiscardHandler)
	f := &fleet{t: t}
	var err error
	f.inspector, err = scan.NewInspector(client, service, scan.InspectorConfig{Partitions: partitions})
	require.NoError(t, err)
	publisher, err := engine.NewPublisher(client, service, engine.WithPartitions(partitions), engine.WithLogger(quiet))
	require.NoError(t, err)
	for _, name := range processes {
		f.process(server, name, quiet)
	}
	publish := func(stream string) {
		_, err := publisher.Publish(t.Context(), stream, map[string]string{"note": markup + turned + unbroken})
		require.NoError(t, err)
	}
	for n := range 40 {
		publish("order-" + strconv.Itoa(n))
	}
	for _, kind := range []string{"bad-", "later-", ""} {
		for _, name := range []string{"plain", markup, turned, unbroken, endless} {
			publish(kind + name)
		}
	}
	f.until(func() bool {
		all, err := f.inspector.Backlog(t.Context())
		var b scan.Backlog
		for _, one := range all {
			b.Lag, b.Pending, b.Later, b.DeadLetters = b.Lag+one.Lag, b.Pending+one.Pending, b.Later+one.Later, b.DeadLetters+one.DeadLetters
		}
		return err == nil && b.Lag == 0 && b.Pending == 45 && b.Later == 5 && b.DeadLetters == 5
	})
	f.serve(client, quiet)
	return f
}

// process starts a process of the fleet.
func (f *fleet) process(server *servers.Server, name string, log *slog.Logger) {
	f.t.Helper()
	opt, err := engine.ClientOption(server.ClientOption())
	require.NoError(f.t, err)
	client, err := rueidis.NewClient(opt)
	require.NoError(f.t, err)
	f.t.Cleanup(client.Close)
	e, err := engine.New(client, service, engine.WithConsumerID(name), engine.WithPartitions(partitions), engine.WithLogger(log))
	require.NoError(f.t, err)
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(context.Background(), api.HandlerFunc(f.handle)) })
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.Shutdown(ctx)
		running.Wait()
	})
}

func (f *fleet) handle(_ context.Context, n api.Notification) error {
	switch {
	case n.Kind != api.Added || f.mended.Load():
	case strings.HasPrefix(n.Stream, "bad-"):
		return api.Permanent(errors.New("the handler says no to " + markup + turned + unbroken))
	case strings.HasPrefix(n.Stream, "later-"):
		return api.Snooze(time.Hour)
	}
	return nil
}

// serve serves the console, under a path.
func (f *fleet) serve(client rueidis.Client, log *slog.Logger) {
	page := console.New(client, service, console.WithInterval(console.MinInterval), console.WithLogger(log), console.WithSchedules(schedules{}),
		console.WithActions(func(*http.Request, console.Action) (string, error) { return "ann", nil }))
	mux := http.NewServeMux()
	mux.Handle("/ops/", page)
	server := httptest.NewServer(mux)
	f.t.Cleanup(func() { page.Close(); server.Close() })
	f.at = server.URL + "/ops/"
}

func (f *fleet) until(what func() bool) {
	f.t.Helper()
	require.Eventually(f.t, what, patience, 20*time.Millisecond)
}

// run returns the name by which the fleet knows a process.
func (f *fleet) run(consumer string) string {
	f.t.Helper()
	b, err := f.inspector.Balance(f.t.Context())
	require.NoError(f.t, err)
	for _, p := range b.Processes {
		if p.ConsumerID == consumer {
			return p.Name
		}
	}
	require.Fail(f.t, "there is no process "+consumer)
	return ""
}

// letter returns the dead letter of a stream.
func (f *fleet) letter(stream string) scan.DeadLetter {
	f.t.Helper()
	found, _, err := f.inspector.LettersPage(f.t.Context(), scan.Selection{Stream: stream}, "", 10)
	require.NoError(f.t, err)
	require.Len(f.t, found, 1)
	return found[0]
}

// schedules are those that the console shows.
type schedules struct{}

func (schedules) Page(context.Context, string, int) ([]console.Schedule, string, error) {
	now := time.Now()
	return []console.Schedule{
		{Name: "report", When: "every 1m0s", Last: now.Add(-time.Minute), Next: now.Add(time.Minute), Owner: "ant"},
		{Name: markup + turned, When: "0 3 * * * Europe/Berlin", Paused: true, Note: markup + unbroken, Missed: 3},
		{Name: endless, When: "every 5m0s", DeadLetter: true},
		{Name: unbroken, Err: "it is " + unbroken},
	}, "", nil
}

func (s schedules) Get(ctx context.Context, name string) (console.Schedule, error) {
	all, _, _ := s.Page(ctx, "", 0)
	for _, one := range all {
		if one.Name == name {
			one.State = markup + unbroken
			return one, nil
		}
	}
	return console.Schedule{}, console.ErrNoSchedule
}
