package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func TestShutdownTwiceAndConcurrently(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(5)...)
		e := h.start(func(_ context.Context, n api.Notification) error {
			if n.Kind == api.Releasing {
				time.Sleep(time.Second)
			}
			return nil
		})
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if err := e.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.NoError(t, e.Shutdown(context.Background()))
		<-e.ended
		require.NoError(t, e.err)
		require.Len(t, e.notified(api.Releasing), 5)
		require.Len(t, e.notified(api.Terminated), 1)
	})
}

// Several goroutines shut down an engine that was never started.
//
// Trace: each of them closed its clients.
func TestShutdownBeforeStart(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.newEngine()
		closed := 0
		e.closers = append(e.closers, func() { closed++ })
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { _ = e.Shutdown(context.Background()) })
		}
		group.Wait()
		require.NoError(t, e.Shutdown(context.Background()))
		require.Equal(t, 1, closed)
		require.ErrorIs(t, e.Run(context.Background(), e), api.ErrClosed)
		require.ErrorIs(t, e.RunEach(context.Background(), func(context.Context, api.Lease) error { return nil }), api.ErrClosed)
		_, err := e.Start(context.Background())
		require.ErrorIs(t, err, api.ErrClosed)
		require.ErrorIs(t, e.Ready(context.Background()), api.ErrNotReady)
		require.Empty(t, e.fake.takeCalls())
	})
}

func TestRunTwice(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.start(nil)
		require.ErrorIs(t, e.Run(context.Background(), e), api.ErrStarted)
		_, err := e.Start(context.Background())
		require.ErrorIs(t, err, api.ErrStarted)
		require.NoError(t, e.Ready(context.Background()))
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
	})
}

// Run's context ends, or Shutdown is called, while the engine starts, or has started but for one partition. Run returns nil,
// at once or as soon as no read can deliver any more.
func TestEndWhileStarting(t *testing.T) {
	for _, op := range []string{"agree", "legacy", "open"} {
		for _, fault := range []fakeFault{faultHang, faultError} {
			for _, end := range []string{"ctx", "shutdown"} {
				t.Run(fmt.Sprint(op, fault.hang, end), func(t *testing.T) {
					bubble(t, 3, func(t *testing.T, h *harness) {
						e := h.newEngine()
						e.fake.failWhen(fault, func(c *fakeCall) bool { return c.op == op && (op != "open" || c.partition == 2) })
						e.startRun()
						advance(10300 * time.Millisecond)
						require.ErrorIs(t, e.Ready(context.Background()), api.ErrNotReady)
						began := time.Now()
						if end == "ctx" {
							e.stop()
						} else {
							require.NoError(t, e.Shutdown(context.Background()))
						}
						<-e.ended
						require.NoError(t, e.err)
						require.LessOrEqual(t, time.Since(began), 100*time.Millisecond+unblockTime)
						require.Len(t, e.notified(api.Terminated), 1)
						for p := range 3 {
							h.server.with(p, func(p *fakePartition) { require.Empty(t, p.sessions, "sessions that were opened are closed") })
						}
					})
				})
			}
		}
	}
}

// What waiting does not fix ends the start, with an error that says why.
func TestStartFailsOnWhatWaitingDoesNotFix(t *testing.T) {
	for op, err := range map[string]error{
		"agree":  fmt.Errorf("%w: 3, not 1", api.ErrPartitionMismatch),
		"legacy": errorReply("NOPERM User x has no permissions to run the 'xinfo' command"),
		"open":   errorReply("WRONGTYPE Operation against a key holding the wrong kind of value"),
	} {
		t.Run(op, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				e := h.newEngine()
				e.fake.failOnly(fakeFault{skip: true, err: err}, op)
				e.startRun()
				advance(time.Minute)
				<-e.ended
				require.ErrorIs(t, e.err, err)
				terminated := e.notified(api.Terminated)
				require.Len(t, terminated, 1)
				require.ErrorIs(t, terminated[0].Err, err)
				require.ErrorIs(t, e.Shutdown(context.Background()), err)
			})
		})
	}
}
