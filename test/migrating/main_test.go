package migrating

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/streamlease/streamlease/test/leaks"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
	"github.com/streamlease/streamlease/test/wait"
)

func TestMain(m *testing.M) { leaks.Check(m) }

// patience is how long a test waits for what must happen, on a machine that is busy with other things.
const patience = time.Minute

// harness is a server with a service on it that is about to be moved.
type harness struct {
	console.Console
	server *servers.Server
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	server := servers.New(t)
	return &harness{console.Console{T: t, Client: server.Client(t)}, server}
}

// engine makes an engine of the service "chat" with sessions of a second, since a test waits for their end.
func (h *harness) engine(log *telemetry.Log) *engine.Engine {
	h.T.Helper()
	e, err := engine.Open(h.server.ClientOption(), "chat", engine.WithSessionTTL(time.Second), engine.WithLeaseTTL(2*time.Second),
		engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond}), engine.WithLogger(log.Logger()))
	require.NoError(h.T, err)
	return e
}

// background calls a function until it is stopped, at the latest with the test. stop returns its error.
func (h *harness) background(log *telemetry.Log, run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	h.T.(*testing.T).Cleanup(func() {
		_ = stop() // the test has its error
		if h.T.Failed() {
			h.T.Logf("log:\n%s", log.String())
		}
	})
	return stop
}

func (h *harness) until(what string, ok func() bool) {
	h.T.Helper()
	require.True(h.T, wait.For(patience, 5*time.Millisecond, ok), what)
}

// consume reads what a group has not given to anybody, as a consumer of it, and returns the entries' IDs in order.
func (h *harness) consume(stream, group, consumer string, count string) (ids []string) {
	h.T.Helper()
	read := h.Try("XREADGROUP", "GROUP", group, consumer, "COUNT", count, "STREAMS", stream, ">")
	entries, err := read.AsXRead()
	require.NoError(h.T, err)
	for _, e := range entries[stream] {
		ids = append(ids, e.ID)
	}
	return ids
}
