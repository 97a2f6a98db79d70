package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// hanging is something that does not return until the test ends: begin makes it hang from now on.
type hanging struct {
	name    string
	handler func(never <-chan struct{}, ctx context.Context, n api.Notification) // nil: handlers return
	opts    func(never <-chan struct{}) []Option
	begin   func(e *testEngine, never chan struct{})
	failed  bool // the drain reports that time was up
	away    bool // Redis takes nothing back
}

// faultDeaf is a call that does not arrive and does not return, whatever its context does.
func faultDeaf(never chan struct{}) fakeFault { return fakeFault{deaf: never, skip: true, err: errCut} }

var hangings = []hanging{
	{name: "handlers of Added", failed: true, handler: func(never <-chan struct{}, _ context.Context, n api.Notification) {
		if n.Kind == api.Added {
			<-never
		}
	}},
	{name: "handlers of Releasing", failed: true, handler: func(never <-chan struct{}, _ context.Context, n api.Notification) {
		if n.Kind == api.Releasing {
			<-never
		}
	}},
	{name: "the handler of Terminated", handler: func(never <-chan struct{}, _ context.Context, n api.Notification) {
		if n.Kind == api.Terminated {
			<-never
		}
	}},
	{name: "Redis", failed: true, away: true, begin: func(e *testEngine, _ chan struct{}) { e.fake.failAll(faultHang) }},
	{name: "Redis since long ago", failed: true, away: true, begin: func(e *testEngine, _ chan struct{}) {
		e.fake.failAll(faultHang)
		advance(30 * time.Second)
	}},
	{name: "calls that ignore their contexts", failed: true, away: true, begin: func(e *testEngine, never chan struct{}) {
		e.fake.failAll(faultDeaf(never))
		advance(5 * time.Second)
	}},
	{name: "calls of the drain that ignore their contexts", failed: true, away: true, begin: func(e *testEngine, never chan struct{}) {
		e.fake.failOnly(faultDeaf(never), "requeue", "pending", "close")
	}},
	{name: "the hook of events", opts: func(never <-chan struct{}) []Option {
		return []Option{WithEvents(func(api.Event) { <-never })}
	}},
	{name: "the log", opts: func(never <-chan struct{}) []Option {
		return []Option{WithLogger(slog.New(&blockedLog{handle: func() { <-never }}))}
	}},
	{name: "the close of clients", begin: func(e *testEngine, never chan struct{}) {
		e.closers = append(e.closers, func() { <-never }, func() { <-never })
	}},
	{
		name: "everything", failed: true, away: true,
		handler: func(never <-chan struct{}, _ context.Context, n api.Notification) {
			if n.Kind != api.Added {
				<-never
			}
		},
		opts: func(never <-chan struct{}) []Option {
			return []Option{
				WithEvents(func(api.Event) { <-never }), WithLogger(slog.New(&blockedLog{handle: func() { <-never }})),
			}
		},
		begin: func(e *testEngine, never chan struct{}) {
			e.closers = append(e.closers, func() { <-never })
			e.fake.failAll(faultDeaf(never))
			advance(5 * time.Second)
		},
	},
}

// A shutdown lasts no longer than the drain timeout, whatever hangs, however the engine was started, and whether Shutdown is called
// or the context of Run ends. What was not handed back is pending still, and nothing was acknowledged.
//
// Trace: after the drain timeout, handing back took up to 5 s more, a last handler 1 s, Terminated 5 s, and the clients as long as
// they liked. Kubernetes kills after 30 s; the default of 20 s was meant to be below that.
func TestShutdownLastsNoLongerThanTheDrainTimeout(t *testing.T) {
	const n = 20
	for _, x := range hangings {
		for _, timeout := range []time.Duration{MinDrainTimeout, time.Second, DefaultDrainTimeout} {
			for _, way := range []string{"run", "each", "start"} {
				t.Run(fmt.Sprintf("%s, %v, %s", x.name, timeout, way), func(t *testing.T) {
					bubble(t, 2, func(t *testing.T, h *harness) {
						never := make(chan struct{})
						defer func() {
							close(never)
							synctest.Wait()
						}()
						h.server.announce(streams(n)...)
						h.server.announce(streams(n / 2)...) // parked
						opts := []Option{WithDrainTimeout(timeout)}
						if x.opts != nil {
							opts = append(opts, x.opts(never)...)
						}
						e := h.newEngine(opts...)
						e.startIn(way, func(ctx context.Context, n api.Notification) error {
							if x.handler != nil {
								x.handler(never, ctx, n)
							}
							return nil
						})
						advance(3 * time.Second)
						if x.begin != nil {
							x.begin(e, never)
						}
						began := time.Now()
						e.stop()
						<-e.life.ended
						require.LessOrEqual(t, time.Since(began), timeout)
						err := e.Shutdown(context.Background())
						require.Equal(t, x.failed, errors.Is(err, api.ErrDrainTimeout), "%v", err)
						undelivered, pending, _, _ := h.server.count()
						require.Equal(t, n+n/2, undelivered+pending, "nothing was acknowledged")
						if !x.away {
							require.Zero(t, pending, "all was handed back")
						}
						for l := range e.Leases() {
							t.Errorf("%s is held", l.Stream())
						}
						for _, l := range e.taken() {
							require.Zero(t, l.Remaining())
							require.Error(t, l.Context().Err())
						}
					})
				})
			}
		}
	}
}

// startIn starts the engine in one of the three ways. handler is called with every notification; RunEach has none of Releasing, so it
// is called when the context of the function ends.
func (e *testEngine) startIn(way string, handler api.HandlerFunc) {
	e.handler = handler
	switch way {
	case "run":
		e.startRun()
	case "each":
		e.startWith(func(ctx context.Context) error {
			return e.RunEach(ctx, func(ctx context.Context, l api.Lease) error {
				_ = e.Handle(ctx, api.Notification{Kind: api.Added, Stream: l.Stream(), Lease: l})
				<-ctx.Done()
				_ = e.Handle(ctx, api.Notification{Kind: api.Releasing, Stream: l.Stream(), Lease: l})
				return ctx.Err()
			})
		})
	case "start":
		e.startWith(func(ctx context.Context) error {
			out, err := e.Start(ctx)
			if err != nil {
				return err
			}
			go func() {
				for n := range out {
					_ = e.Handle(context.Background(), n)
					if n.Kind == api.Releasing {
						go n.Lease.Release(context.Background())
					}
				}
			}()
			<-e.life.ended
			return e.life.err
		})
	}
}

// taken are the leases that were delivered.
func (e *testEngine) taken() (all []api.Lease) {
	for _, x := range e.notified(api.Added) {
		all = append(all, x.Lease)
	}
	return all
}

// Handlers have the longer, the fewer streams are left to be handed back.
func TestTimeForHandlersGrowsAsStreamsAreHandedBack(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		const n = 5000
		h.server.announce(streams(n)...)
		began := make(chan time.Time, 1)
		var told time.Duration
		e := h.start(func(ctx context.Context, n api.Notification) error {
			if n.Kind == api.Releasing && n.Stream == "s00000" {
				at := <-began
				<-ctx.Done()
				told = time.Since(at)
			}
			return nil
		}, WithWorkers(8), WithReadBatch(n))
		advance(10 * time.Second)
		require.Equal(t, n, e.Stats().Held)
		began <- time.Now()
		shutdown, _ := e.shutdownAndWait()
		require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
		require.Equal(t, 17*time.Second, told.Round(100*time.Millisecond), "not 16.5 s, since only its own stream was left")
		undelivered, pending, _, _ := h.server.count()
		require.Equal(t, []int{n, 0}, []int{undelivered, pending})
	})
}

// A call that has acquired streams and does not return for a while holds up nobody: owners get Releasing at once, and what it brings
// gets it then.
func TestLateAcquisitionGetsReleasing(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(3)...)
		e := h.start(nil)
		advance(time.Second)
		slow := make(chan struct{})
		e.fake.failOnly(fakeFault{deaf: slow}, "acquire")
		h.server.announce("late")
		advance(100 * time.Millisecond)
		began := time.Now()
		time.AfterFunc(4*time.Second, func() { close(slow) })
		shutdown, _ := e.shutdownAndWait()
		require.NoError(t, shutdown)
		for _, x := range e.notified(api.Releasing) {
			require.Equal(t, x.Stream == "late", x.at.Sub(began) > 3*time.Second, x.Stream)
		}
		require.Equal(t, "Added Releasing", e.kinds("late"))
		require.Less(t, time.Since(began), 5*time.Second)
		require.Equal(t, []int{4, 0, 0, 0}, h.server.counts())
	})
}

// What a call acquires while the engine is being taken apart is lost by its owner, as everything else.
//
// Trace: a call hung, the leases of that moment were disowned, the call came back and its lease was listed since the session had not
// ended yet. Nobody disowned that one: Remaining was 0, and the context of its handler never ended.
func TestAcquisitionDuringTheEndIsDisowned(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce(streams(3)...)
		e := h.start(nil)
		advance(time.Second)
		slow := make(chan struct{})
		e.fake.failOnly(fakeFault{deaf: slow}, "acquire", "requeue")
		h.server.announce("late")
		advance(100 * time.Millisecond)
		lost := e.ownership.lost
		var ended <-chan struct{}
		answer := sync.OnceFunc(func() {
			close(slow)
			time.Sleep(time.Millisecond)
			l := e.table.Get("late")
			require.NotNil(t, l, "the call came too late for this test")
			ended = l.Context().Done()
		})
		e.ownership.lost = func(stream string) {
			answer()
			lost(stream)
		}
		now, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, e.Shutdown(now), api.ErrDrainTimeout)
		advance(time.Second)
		require.Contains(t, e.kinds("late"), "Added") // and Disowned, if there was time left
		require.Empty(t, e.table.All())
		select {
		case <-ended:
		default:
			t.Fatal("whoever waits for the end of the lease waits for ever")
		}
	})
}

// A start that hangs is given up in time, too.
func TestEndOfAStartThatHangs(t *testing.T) {
	for _, op := range []string{"agree", "legacy", "open"} {
		for _, timeout := range []time.Duration{MinDrainTimeout, DefaultDrainTimeout} {
			bubble(t, 2, func(t *testing.T, h *harness) {
				never := make(chan struct{})
				defer func() {
					close(never)
					synctest.Wait()
				}()
				e := h.newEngine(WithDrainTimeout(timeout))
				e.fake.failOnly(faultDeaf(never), op)
				e.startRun()
				advance(5 * time.Second)
				began := time.Now()
				e.stop()
				<-e.life.ended
				require.LessOrEqual(t, time.Since(began), timeout, op)
				require.Len(t, e.notified(api.Terminated), 1)
			})
		}
	}
}

// An owner who waits for the outcome of its Done learns that there is none, though the call is still on its way.
func TestDoneOnAHangingCallReturnsAtTheEnd(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		never := make(chan struct{})
		h.server.announce("s", "other")
		e := h.start(nil, WithDrainTimeout(2*time.Second))
		advance(time.Second)
		e.fake.failOnly(faultDeaf(never), "done")
		outcome := make(chan error, 2)
		l, other := e.held("s"), e.held("other")
		go func() { outcome <- l.Done(context.Background()) }()
		advance(100 * time.Millisecond)
		go func() { outcome <- other.Done(context.Background()) }() // queued behind it
		advance(100 * time.Millisecond)
		_, _ = e.shutdownAndWait()
		require.ErrorIs(t, <-outcome, api.ErrClosed, "nothing was sent for it")
		require.Empty(t, outcome)
		close(never) // the connection is closed, say
		synctest.Wait()
		require.ErrorIs(t, <-outcome, api.ErrClosed)
		_, pending, _, _ := h.server.count()
		require.Equal(t, 2, pending, "others recover them")
	})
}
