package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// shop is a service of two partitions, and a person who types commands.
type shop struct {
	console.Console
	t         *testing.T
	server    *servers.Server
	url       string // of the command
	inspector *scan.Inspector
	publisher *engine.Publisher
}

func newShop(t *testing.T, opts ...servers.Option) *shop {
	t.Helper()
	server := servers.New(t, opts...)
	s := &shop{t: t, server: server, url: "redis://" + server.Addr(), Console: console.Console{T: t, Client: server.Client(t)}}
	var err error
	s.publisher, err = engine.NewPublisher(s.Client, "shop", engine.WithPartitions(2), engine.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	s.publish("first")
	s.inspector, err = scan.NewInspector(s.Client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	return s
}

func (s *shop) publish(streams ...string) {
	s.t.Helper()
	for _, name := range streams {
		var opts []engine.PublishOption
		if strings.HasPrefix(name, "late") {
			opts = append(opts, engine.WithNotBefore(time.Now().Add(time.Hour)))
		}
		_, err := s.publisher.Publish(s.t.Context(), name, nil, opts...)
		require.NoError(s.t, err)
	}
}

// start starts a process that owns streams: what begins with bad becomes a dead letter. It returns what stops it.
func (s *shop) start(consumer string, got func(n api.Notification)) (stop func()) {
	s.t.Helper()
	e, err := engine.New(s.Client, "shop", engine.WithPartitions(2), engine.WithConsumerID(consumer), engine.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	over := make(chan error, 1)
	go func() {
		over <- e.Run(ctx, api.Funcs{
			Added: func(_ context.Context, n api.Notification) error {
				if strings.HasPrefix(n.Stream, "bad") {
					return api.Permanent(errors.New("no such product"))
				}
				return nil
			},
			Signaled: func(_ context.Context, n api.Notification) error {
				if got != nil {
					got(n)
				}
				return nil
			},
		})
	}()
	stop = func() {
		cancel()
		if over != nil {
			require.NoError(s.t, <-over)
			over = nil
		}
	}
	s.t.Cleanup(stop)
	return stop
}

// await waits until something holds.
func (s *shop) await(holds func() bool) {
	s.t.Helper()
	require.True(s.t, wait.For(time.Minute, 5*time.Millisecond, holds))
}

// handled has a process own streams until so many are dead letters, delayed and owned; then it leaves.
func (s *shop) handled(letters, later, owned int) {
	s.t.Helper()
	stop := s.start("worker", nil)
	s.await(func() bool {
		all, err := s.inspector.Backlog(s.t.Context())
		require.NoError(s.t, err)
		l, d, p := 0, 0, 0
		for _, b := range all {
			l, d, p = l+b.DeadLetters, d+b.Later, p+b.Pending
		}
		return l == letters && d == later && p == owned
	})
	stop()
}

func (s *shop) letters(sel scan.Selection) (names []string) {
	s.t.Helper()
	for l, err := range s.inspector.Letters(s.t.Context(), sel) {
		require.NoError(s.t, err)
		names = append(names, l.Stream)
	}
	slices.Sort(names)
	return names
}

func (s *shop) delayed() (names []string) {
	s.t.Helper()
	for d, err := range s.inspector.Delayed(s.t.Context(), scan.Selection{}) {
		require.NoError(s.t, err)
		names = append(names, d.Stream)
	}
	slices.Sort(names)
	return names
}

// waiting returns the streams in the input streams.
func (s *shop) waiting() (names []string) {
	s.t.Helper()
	for _, key := range []string{"shop-input", "shop-input-1"} {
		for _, e := range s.Stream(key) {
			var a struct{ DataStreamName string }
			require.NoError(s.t, json.Unmarshal([]byte(e.FieldValues["lbs-input"]), &a))
			names = append(names, a.DataStreamName)
		}
	}
	slices.Sort(names)
	return names
}

// dump returns all that the server has.
func (s *shop) dump() map[string]string {
	s.t.Helper()
	keys, err := s.Try("KEYS", "*").AsStrSlice()
	require.NoError(s.t, err)
	all := make(map[string]string)
	for _, key := range keys {
		all[key] = s.Text("DUMP", key)
	}
	return all
}

// answer is what a command wrote.
type answer struct {
	status    int
	out, errs string
}

// typing is the input of somebody at a terminal.
type typing struct{ io.Reader }

// screens has only that be a terminal.
func screens(stream any) screen {
	_, is := stream.(typing)
	return screen{terminal: is, width: 80, height: 24}
}

func (s *shop) run(ctx context.Context, in io.Reader, args ...string) (a answer) {
	s.t.Helper()
	var out, errs strings.Builder
	e := &env{in: in, out: &out, errs: &errs, now: time.Now, screen: screens}
	args = append([]string{"streamlease", "-redis", s.url, "-service", "shop"}, args...)
	a.status = e.run(ctx, args)
	a.out, a.errs = out.String(), errs.String()
	safe(s.t, a.out)
	safe(s.t, a.errs)
	return a
}

// do runs a command that ends with a status, without a terminal.
func (s *shop) do(status int, args ...string) answer {
	s.t.Helper()
	a := s.run(s.t.Context(), strings.NewReader(""), args...)
	require.Equal(s.t, status, a.status, "%v: %s%s", args, a.out, a.errs)
	return a
}

// types runs a command, and answers its question with a line.
func (s *shop) types(status int, line string, args ...string) answer {
	s.t.Helper()
	a := s.run(s.t.Context(), typing{strings.NewReader(line + "\n")}, args...)
	require.Equal(s.t, status, a.status, "%v: %s%s", args, a.out, a.errs)
	return a
}

// json runs a command that ends with a status, and returns the object that it writes.
func (s *shop) json(status int, args ...string) (object map[string]any) {
	s.t.Helper()
	a := s.do(status, append([]string{"-json"}, args...)...)
	require.NoError(s.t, json.Unmarshal([]byte(a.out), &object), "%s%s", a.out, a.errs)
	require.Equal(s.t, "shop", object["service"])
	require.NotEmpty(s.t, object["command"])
	return object
}

// refuses checks that a command changes nothing if it is only tried, if nobody confirms it, and if there is nobody to ask.
func (s *shop) refuses(args ...string) {
	s.t.Helper()
	before := s.dump()
	a := s.do(statusDone, append(args, "-dry-run")...)
	require.Contains(s.t, a.out, "would be")
	require.Contains(s.t, a.out, "Nothing was changed.")
	require.Equal(s.t, true, s.json(statusDone, append(args, "-dry-run")...)["dry_run"])
	a = s.do(statusRefused, args...)
	require.Contains(s.t, a.errs, "use -yes to do it, or -dry-run")
	require.Contains(s.t, a.errs, "nothing was changed")
	a = s.types(statusRefused, "no", args...)
	require.Contains(s.t, a.errs, "to continue: ")
	require.Equal(s.t, before, s.dump())
}

// usage checks that command lines make no sense, and that the command says what is wrong.
func (s *shop) usage(says string, args ...string) {
	s.t.Helper()
	a := s.do(statusUsage, args...)
	require.Contains(s.t, a.errs, says)
	require.Regexp(s.t, `^streamlease: usage: `, a.errs)
}

func names(object map[string]any, field string) (all []string) {
	for _, x := range object[field].([]any) {
		all = append(all, x.(map[string]any)["stream"].(string))
	}
	return all
}
