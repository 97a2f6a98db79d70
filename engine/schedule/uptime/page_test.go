package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/schedule"
)

// fakeTable is a table in memory, whose cursors are numbers of monitors.
type fakeTable struct {
	all []schedule.Status
	err error
}

func (f *fakeTable) Get(_ context.Context, name string) (schedule.Status, error) {
	for _, s := range f.all {
		if s.Spec.Name == name {
			return s, f.err
		}
	}
	return schedule.Status{}, schedule.ErrNoSchedule
}

func (f *fakeTable) Page(_ context.Context, cursor string, count int) ([]schedule.Status, string, error) {
	var from int
	fmt.Sscan(cursor, &from)
	to, next := from+count, fmt.Sprint(from+count)
	if to >= len(f.all) {
		to, next = len(f.all), ""
	}
	return f.all[from:to], next, f.err
}

func (f *fakeTable) List(_ context.Context, filter schedule.Filter) iter.Seq2[schedule.Status, error] {
	return func(yield func(schedule.Status, error) bool) {
		if f.err != nil {
			yield(schedule.Status{}, f.err)
			return
		}
		for _, s := range f.all {
			if strings.HasPrefix(s.Spec.Name, filter.Prefix) && !yield(s, nil) {
				return
			}
		}
	}
}

// noon is a time of a tick.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// status is what a table has of a monitor that was checked at noon.
func status(t *testing.T, name string, s State) schedule.Status {
	t.Helper()
	info, err := json.Marshal(Monitor{Name: name, Target: "https://" + url.PathEscape(name) + ".example.com/", Every: Duration(20 * time.Second)})
	require.NoError(t, err)
	state, err := json.Marshal(s)
	require.NoError(t, err)
	return schedule.Status{
		Spec: schedule.Spec{Name: name, Every: 20 * time.Second, Info: json.RawMessage(info)},
		Last: noon, Next: noon.Add(20 * time.Second), Owner: "pod-1.ABCDEF", State: state,
	}
}

// newTestPage has 60 monitors that are up, one that is down and one with a hostile name.
func newTestPage(t *testing.T) (*page, *fakeTable, *httptest.Server) {
	t.Helper()
	h, err := openHistory(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.close()) })
	f := &fakeTable{}
	f.all = append(f.all, status(t, `<script>alert("&")</script>`, State{Status: Up, Since: noon}),
		status(t, "down", State{Status: Down, Since: noon, Failures: 3, Error: "status 500 <b>"}))
	for i := range 60 {
		f.all = append(f.all, status(t, fmt.Sprintf("monitor %02d", i), State{Status: Up, Since: noon, Took: 12 * time.Millisecond}))
	}
	p := &page{table: f, history: h, overview: &overviewer{table: f, history: h}, events: &events{}, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewUnstartedServer(p.handler())
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	t.Cleanup(func() { cancel(); server.Close() })
	return p, f, server
}

func get(t *testing.T, address string) (string, http.Header) {
	t.Helper()
	answer, err := http.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", text)
	return string(text), answer.Header
}

func TestAPageHasFiftyMonitors(t *testing.T) {
	_, _, server := newTestPage(t)
	first, header := get(t, server.URL)
	require.Equal(t, pageSize, strings.Count(first, "<tr id="))
	require.Contains(t, first, `href="./?cursor=50"`)
	require.Contains(t, first, "<b>62</b> monitors")
	require.Contains(t, first, "pod-1 <b>62</b>")
	require.NotContains(t, first, "ZgotmplZ", "the template refused a value")
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")

	second, _ := get(t, server.URL+"/?cursor=50")
	require.Equal(t, 12, strings.Count(second, "<tr id="))
	require.NotContains(t, second, "./?cursor=")
}

// Names, errors and targets come from others.
func TestWhatOthersWroteIsText(t *testing.T) {
	_, _, server := newTestPage(t)
	text, _ := get(t, server.URL)
	require.Contains(t, text, `&lt;script&gt;alert(&#34;&amp;&#34;)`)
	require.Contains(t, text, "status 500 &lt;b&gt;")
	require.NotContains(t, text, "<script>alert")
	text, _ = get(t, server.URL+"/monitor?name="+url.QueryEscape(`<script>alert("&")</script>`))
	require.NotContains(t, text, "<script>alert")
}

// The policy forbids scripts and styles in the page itself, and whatever is elsewhere.
func TestThePageKeepsToItsPolicy(t *testing.T) {
	_, _, server := newTestPage(t)
	for _, path := range []string{"/", "/?problems", "/monitor?name=down"} {
		text, _ := get(t, server.URL+path)
		require.NotRegexp(t, `style=|onclick=|<style|<script[^>]*>[^<]`, text)
		require.NotRegexp(t, `(src|href)="(https?:)?//`, text)
	}
	for _, path := range []string{"/page.css", "/page.js"} {
		text, _ := get(t, server.URL+path)
		require.NotRegexp(t, `@import|url\(|https?://`, text)
	}
}

func TestTheProblemsAreThoseThatSomebodyShouldLookAt(t *testing.T) {
	_, _, server := newTestPage(t)
	text, _ := get(t, server.URL+"/?problems")
	require.Equal(t, 1, strings.Count(text, "<tr id="))
	require.Contains(t, text, "status 500")
	text, _ = get(t, server.URL+"/?prefix=monitor+1")
	require.Equal(t, 10, strings.Count(text, "<tr id="))
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	_, f, server := newTestPage(t)
	f.err = errors.New("no connection")
	text, _ := get(t, server.URL)
	require.Equal(t, 2, strings.Count(text, "no connection"), "in the overview and the list")
	text, _ = get(t, server.URL+"/monitor?name=nothing")
	require.Contains(t, text, "no such schedule")
}

// reader reads server-sent events.
type reader struct{ lines *bufio.Scanner }

func follow(t *testing.T, address string) reader {
	t.Helper()
	answer, err := http.Get(address)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	return reader{bufio.NewScanner(answer.Body)}
}

// next returns the HTML of the next event.
func (r reader) next(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for r.lines.Scan() {
		line, isData := strings.CutPrefix(r.lines.Text(), "data: ")
		if !isData {
			return text.String()
		}
		text.WriteString(line + "\n")
	}
	require.NoError(t, r.lines.Err())
	return text.String()
}

func TestAChangeIsSentToThosePagesWhichShowTheMonitor(t *testing.T) {
	p, _, server := newTestPage(t)
	first := follow(t, server.URL+"/events?")
	require.Equal(t, pageSize, strings.Count(first.next(t), "<tr id="), "all rows, since they may have changed since the page was loaded")

	later := noon.Add(20 * time.Second)
	p.events.publish([]Report{
		{Monitor: "monitor 59", At: later, State: State{Status: Down, Error: "is on the second page"}},
		{Monitor: "monitor 07", At: later, Owner: "pod-2.X", State: State{Status: Up, Since: noon, Failures: 1, Error: "refused"}},
	})
	text := first.next(t)
	require.Equal(t, 1, strings.Count(text, "<tr id="))
	require.Contains(t, text, "monitor 07")
	require.Contains(t, text, "refused")
	require.Contains(t, text, "12:00:20")
	require.Contains(t, text, "pod-2")

	p.events.publish([]Report{{Monitor: "monitor 07", At: noon, State: State{Error: "an old report that came late"}}})
	require.NotContains(t, first.next(t), "came late")
}

func TestThePageOfAMonitorShowsItsHistory(t *testing.T) {
	p, _, server := newTestPage(t)
	at := time.Now().Add(-time.Minute)
	write := func(r ...Report) { require.NoError(t, p.history.write(t.Context(), r, "1-0")) }
	write(Report{Monitor: "down", At: at, State: State{Took: time.Second}},
		Report{Monitor: "down", At: at.Add(time.Second), State: State{Error: "was refused"}})
	text, _ := get(t, server.URL+"/monitor?name=down")
	require.Contains(t, text, "50.00 %")
	require.Contains(t, text, "<td>was refused</td>")
	require.Contains(t, text, "12:00:20")

	events := follow(t, server.URL+"/monitor/events?name=down")
	events.next(t)
	report := Report{Monitor: "down", At: at.Add(2 * time.Second), State: State{Error: "timed out"}}
	write(report)
	p.events.publish([]Report{report})
	require.Contains(t, events.next(t), "<td>timed out</td>")
}

// A browser that does not read is sent nothing more, and holds up nobody.
func TestPublishNeverWaits(t *testing.T) {
	var e events
	reports, stop := e.listen()
	defer stop()
	for range 2 * waiting {
		e.publish([]Report{{}})
	}
	n := 0
	for range reports {
		n++
	}
	require.Equal(t, waiting, n)
}
