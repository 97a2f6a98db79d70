package starting

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
)

const (
	service  = "orders"
	patience = 20 * time.Second
)

// lines is a log. It may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// of returns the lines that contain a text.
func (l *lines) of(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// logger returns a logger of a level and what it writes.
func logger(level slog.Level) (*slog.Logger, *lines) {
	l := &lines{}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level})), l
}

func at(address string) rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{address}}
}

// running is an engine that runs.
type running struct {
	*engine.Engine
	t      testing.TB
	log    *lines
	events *events
	end    func() error // ends it, and returns what Run did
}

// run opens and runs an engine that logs everything.
func run(t testing.TB, opt rueidis.ClientOption, opts ...engine.Option) *running {
	t.Helper()
	log, text := logger(slog.LevelDebug)
	seen := &events{}
	e, err := engine.Open(opt, service, append([]engine.Option{engine.WithLogger(log), engine.WithEvents(seen.add)}, opts...)...)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, api.Funcs{}) }()
	r := &running{Engine: e, t: t, log: text, events: seen, end: sync.OnceValue(func() error { cancel(); return <-ended })}
	t.Cleanup(func() { _ = r.end() })
	return r
}

// until waits until something is so.
func (r *running) until(what string, so func() bool) {
	r.t.Helper()
	if !assert.Eventually(r.t, so, patience, 10*time.Millisecond, what) {
		require.FailNow(r.t, "never", "%s\n%s", what, strings.Join(r.log.of(""), ""))
	}
}

func (r *running) untilReady() {
	r.t.Helper()
	r.until("it is ready", func() bool { return r.Ready(context.Background()) == nil })
}

// start runs an engine until it ends by itself, and returns its error.
func start(t testing.TB, opt rueidis.ClientOption, opts ...engine.Option) error {
	t.Helper()
	log, _ := logger(slog.LevelDebug)
	e, err := engine.Open(opt, service, append([]engine.Option{engine.WithLogger(log)}, opts...)...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = e.Run(ctx, api.Funcs{})
	require.NoError(t, ctx.Err(), "it waits")
	return err
}

// events are the events of an engine.
type events struct {
	mu  sync.Mutex
	all []api.Event
}

func (e *events) add(v api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, v)
}

func (e *events) count(kind api.EventKind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.all {
		if v.Kind == kind {
			n++
		}
	}
	return n
}
