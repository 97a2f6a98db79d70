package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

const (
	shopName      = "shop"
	shopPartition = 2
)

// fleet is a service with engines, and the command that looks at it.
type fleet struct {
	console.Console
	server    *servers.Server
	publisher *engine.Publisher
	inspector *scan.Inspector
	engines   map[string]*engine.Engine
	clients   map[string]rueidis.Client
}

// newFleet starts a service on a server of its own, with a process of each name. A handler keeps a stream, unless its name begins with
// "bad", "snooze" or "done".
func newFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	server := servers.New(t)
	f := &fleet{
		Console: console.Console{T: t, Client: server.Client(t)}, server: server,
		engines: make(map[string]*engine.Engine), clients: make(map[string]rueidis.Client),
	}
	quiet := engine.WithLogger(slog.New(slog.DiscardHandler))
	var err error
	f.publisher, err = engine.NewPublisher(f.Client, shopName, engine.WithPartitions(shopPartition), quiet)
	require.NoError(t, err)
	f.inspector, err = scan.NewInspector(f.Client, shopName, scan.InspectorConfig{Partitions: shopPartition})
	require.NoError(t, err)
	handler := api.HandlerFunc(func(ctx context.Context, n api.Notification) error {
		switch {
		case n.Kind != api.Added:
		case strings.HasPrefix(n.Stream, "bad"):
			return api.Permanent(errors.New("the handler\x1b[31m says no"))
		case strings.HasPrefix(n.Stream, "done"):
			return n.Lease.Done(ctx)
		case strings.HasPrefix(n.Stream, "snooze"):
			return api.Snooze(time.Hour)
		}
		return nil
	})
	for _, name := range names {
		opt, err := engine.ClientOption(server.ClientOption())
		require.NoError(t, err)
		client, err := rueidis.NewClient(opt)
		require.NoError(t, err)
		e, err := engine.New(client, shopName, engine.WithConsumerID(name), engine.WithPartitions(shopPartition), quiet)
		require.NoError(t, err)
		f.engines[name], f.clients[name] = e, client
		var running sync.WaitGroup
		running.Go(func() { _ = e.Run(context.Background(), handler) })
		t.Cleanup(func() {
			f.stop(name, 100*time.Millisecond) // most are killed by then, or have nothing to do
			running.Wait()
		})
	}
	f.until(func() bool {
		b, err := f.inspector.Balance(t.Context())
		return err == nil && len(b.Processes) == len(names)
	})
	return f
}

// stop ends a process in order, if that takes no longer.
func (f *fleet) stop(name string, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = f.engines[name].Shutdown(ctx)
	f.clients[name].Close()
}

// kill ends a process without a word, and its session with it.
func (f *fleet) kill(name string) {
	f.clients[name].Close()
	for p := range shopPartition {
		input := shopName + []string{"-input", "-input-1"}[p]
		f.Do("ZADD", "{"+input+"}:sessions", "XX", "1", f.engines[name].ID())
	}
}

func (f *fleet) publish(streams ...string) {
	f.T.Helper()
	for _, stream := range streams {
		_, err := f.publisher.Publish(f.T.Context(), stream, map[string]int{"n": 1})
		require.NoError(f.T, err)
	}
}

// until waits for a condition.
func (f *fleet) until(what func() bool) {
	f.T.Helper()
	require.Eventually(f.T, what, patience, 10*time.Millisecond)
}

// settled waits until so many streams are held, delayed and dead.
func (f *fleet) settled(pending, delayed, dead int) {
	f.T.Helper()
	f.until(func() bool {
		all, err := f.inspector.Backlog(f.T.Context())
		t := totalOf(all)
		b, err1 := f.inspector.Balance(f.T.Context())
		held := 0
		for _, p := range b.Processes {
			held += p.Held
		}
		return err == nil && err1 == nil && t.Pending == pending && held == pending && t.Later == delayed && t.DeadLetters == dead
	})
}

// args is the command line for the service.
func (f *fleet) args(args ...string) []string {
	return append([]string{"streamlease", "-redis", "redis://" + f.server.Addr(), "-service", shopName}, args...)
}

// call runs the command.
func (f *fleet) call(args ...string) (status int, out, errs string) {
	f.T.Helper()
	return runIn(f.T, testEnv(""), f.args(args...)...)
}

// testEnv is an environment without a terminal, in which somebody types.
func testEnv(typed string) *env {
	return &env{in: strings.NewReader(typed), now: time.Now, screen: func(any) screen { return screen{} }}
}

// runIn runs the command in an environment. Whatever it writes is safe for a terminal.
func runIn(t testing.TB, e *env, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, x bytes.Buffer
	e.out, e.errs = &o, &x
	status = e.run(t.Context(), args)
	safe(t, o.String())
	safe(t, x.String())
	return status, o.String(), x.String()
}

// raw runs the command with nothing else than its arguments, and does not look at what it writes.
func (f *fleet) raw(args ...string) (status int, out, errs string) {
	var o, x bytes.Buffer
	e := testEnv("")
	e.out, e.errs = &o, &x
	status = e.run(f.T.Context(), append([]string{"streamlease"}, args...))
	return status, o.String(), x.String()
}

// safe fails for what a terminal would obey or not show.
func safe(t testing.TB, text string) {
	t.Helper()
	require.True(t, utf8.ValidString(text), "%q", text)
	require.NotContains(t, text, "\x1b")
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			require.Fail(t, "not for a terminal", "%q in %q", r, text)
		}
	}
}

// table runs the command, which must succeed, and returns its table.
func (f *fleet) table(args ...string) string {
	f.T.Helper()
	status, out, errs := f.call(args...)
	require.Equal(f.T, statusDone, status, out+errs)
	return out
}

// decoded runs the command with -json, and decodes what it writes. Keys that T does not have are an error.
func decoded[T any](f *fleet, want int, args ...string) (v T) {
	f.T.Helper()
	status, out, errs := f.call(append([]string{"-json"}, args...)...)
	require.Equal(f.T, want, status, out+errs)
	decode := json.NewDecoder(strings.NewReader(out))
	decode.DisallowUnknownFields()
	require.NoError(f.T, decode.Decode(&v), out)
	_, err := decode.Token()
	require.ErrorIs(f.T, err, io.EOF, "one value")
	return v
}

// row returns the line of a table that begins with a cell, with one space between its words.
func row(t *testing.T, table, first string) string {
	t.Helper()
	for line := range strings.Lines(table) {
		if strings.HasPrefix(strings.TrimSpace(line), first) {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	require.Fail(t, "no line begins with "+first, table)
	return ""
}
