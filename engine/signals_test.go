package engine

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/lease"
)

// heard is how soon signals are heard of: a beat, and the time for what follows.
const heard = 1100 * time.Millisecond

// slowCalls gives calls time enough to be slow.
func slowCalls() []Option {
	return []Option{WithSessionTTL(20 * time.Second), WithPipeline(lease.Pipeline{Timeout: 4 * time.Second})}
}

// delayed delays the answers to calls of a kind.
func delayed(e *testEngine, op string, d time.Duration) {
	e.fake.failOnly(fakeFault{after: d}, op)
}

// twoOf starts an engine that holds s and nothing more, and another one that takes the rest.
func (h *harness) twoOf(opts ...Option) (a, b *testEngine) {
	a = h.start(nil, append([]Option{WithMaxStreams(1)}, opts...)...)
	h.server.announce("s")
	advance(50 * time.Millisecond)
	a.held("s")
	b = h.start(nil, opts...)
	return a, b
}

// The owner of a stream hears of a second announcement within a beat; and whoever has that gets the stream within a beat of its end, however
// long it has waited: by then it asks every 30 s at most.
func TestOwnersHearWithinABeat(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a, b := h.twoOf()
		h.server.announce("s")
		advance(heard)
		require.Len(t, a.notified(api.Superseded), 1)
		require.Equal(t, 1, b.Stats().Parked)
		advance(3 * time.Minute)
		b.fake.takeCalls()
		advance(waitlist.MaxDelay)
		require.LessOrEqual(t, countCalls(b.fake.takeCalls(), "acquire"), 3, "it asks seldom")
		require.NoError(t, a.held("s").Done(t.Context()))
		advance(heard)
		b.held("s")
		require.Len(t, a.notified(api.Superseded), 1, "each owner is notified once")
		require.Empty(t, b.notified(api.Superseded), "what was announced for the earlier owner does not concern this one")
		require.Positive(t, a.counted("signals_received_total", "kind", "announced"))
		require.Positive(t, b.counted("signals_received_total", "kind", "freed"))
	})
}

// The same when the owner hands back or fails: whatever frees the stream says so.
func TestParkedEntriesAreAskedForWhateverFreesTheirStream(t *testing.T) {
	for name, free := range map[string]func(a *testEngine) error{
		"shutdown": func(a *testEngine) error { return a.Shutdown(context.Background()) },
		"fail":     func(a *testEngine) error { return a.held("s").Fail(context.Background(), errCut) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				a, b := h.twoOf()
				h.server.announce("s")
				advance(3 * time.Minute)
				require.NoError(t, free(a))
				advance(heard)
				b.held("s")
			})
		})
	}
}

// Trace: acquire takes a stream, and its answer is on its way. Meanwhile somebody finds the stream held, and a beat of the owner reports
// the signal: the owner, who does not know yet that it is one, finds no lease for it. It heard only from its renewal, ten seconds later.
func TestSignalsThatComeBeforeTheAnswerToAcquire(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a := h.start(nil, append(slowCalls(), WithMaxStreams(1))...)
		delayed(a, "acquire", 2500*time.Millisecond)
		h.server.announce("s")
		advance(50 * time.Millisecond)
		require.Empty(t, a.notified(api.Added))
		b := h.start(nil, slowCalls()...)
		h.server.announce("s")
		advance(2 * time.Second)
		require.Equal(t, 1, b.Stats().Parked)
		h.server.signalUser(0, "s", "look")
		require.Positive(t, a.counted("signals_received_total", "kind", "announced"), "it is read before the answer")
		require.Empty(t, a.notified(api.Added))
		advance(600 * time.Millisecond)
		require.Len(t, a.notified(api.Added), 1)
		require.Len(t, a.notified(api.Superseded), 1)
		advance(heard)
		got := a.notified(api.Signaled)
		require.Len(t, got, 1)
		require.Equal(t, "look", string(got[0].Payload))
	})
}

// Trace: acquire finds a stream held, and its answer is on its way. Meanwhile the owner is done, and the signal that the stream is free is
// read before its entry is parked: it found nothing to ask for. The entry waited for up to 30 s.
func TestSignalsThatComeBeforeTheEntryIsParked(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a, b := h.twoOf(slowCalls()...)
		delayed(b, "acquire", 3*time.Second)
		h.server.announce("s")
		advance(500 * time.Millisecond)
		require.NoError(t, a.held("s").Done(t.Context()))
		advance(2 * time.Second)
		require.Positive(t, b.counted("signals_received_total", "kind", "freed"))
		require.Zero(t, b.Stats().Parked)
		delayed(b, "acquire", 0)
		advance(510 * time.Millisecond)
		b.held("s")
	})
}

// What waits for its stream in vain is asked for in the same way, when the signal comes while the question is on its way.
func TestSignalsThatComeWhileAParkedEntryIsAskedFor(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a, b := h.twoOf(slowCalls()...)
		h.server.announce("s")
		advance(3 * time.Minute)
		b.fake.takeCalls()
		delayed(b, "acquire", 3*time.Second)
		for countCalls(b.fake.takeCalls(), "acquire") == 0 {
			advance(10 * time.Millisecond)
		}
		require.NoError(t, a.held("s").Done(t.Context()))
		advance(2500 * time.Millisecond)
		require.Empty(t, b.notified(api.Added))
		delayed(b, "acquire", 0)
		advance(510 * time.Millisecond)
		b.held("s")
	})
}

// Signals of producers reach the owner, with their payload, and nobody else; for a stream that nobody owns they are lost.
func TestSignalsOfProducersReachTheOwner(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		a, b := h.start(nil), h.start(nil)
		s := h.streamIn(1, 0)
		h.server.signalUser(1, s, "nobody owns it")
		advance(heard)
		h.server.announce(s)
		advance(heard)
		h.server.signalUser(1, s, "one")
		h.server.signalUser(1, h.streamIn(1, 1), "of another stream")
		h.server.signalUser(0, s, "by a producer that knows of no partitions")
		advance(heard)
		owner, other := a, b
		if len(b.notified(api.Added)) > 0 {
			owner, other = b, a
		}
		var got []string
		for _, n := range owner.notified(api.Signaled) {
			require.Equal(t, s, n.Stream)
			require.Equal(t, owner.held(s).Token(), n.Token)
			require.Positive(t, n.left)
			got = append(got, string(n.Payload))
		}
		require.ElementsMatch(t, []string{"one", "by a producer that knows of no partitions"}, got)
		require.Empty(t, other.notified(api.Signaled))
		require.NoError(t, owner.held(s).Done(t.Context()))
		h.server.signalUser(1, s, "two")
		advance(heard)
		require.Len(t, owner.notified(api.Signaled), 2)
	})
}

// Trace: what changes many streams at once signals them in one entry. Only the owner of the first heard of it, and nobody where the first was
// owned elsewhere.
func TestASignalMayBeAboutSeveralStreams(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a, b := h.twoOf() // a has s
		h.server.announce("mine", "yours")
		advance(heard)
		h.server.signalUsers(0, "look", "nobody's", "yours", "s", "mine", "{s}", "s")
		advance(heard)
		var got []string
		for _, n := range b.notified(api.Signaled) {
			require.Equal(t, "look", string(n.Payload))
			got = append(got, n.Stream)
		}
		require.ElementsMatch(t, []string{"mine", "yours"}, got)
		require.Equal(t, 1, b.counted("signals_received_total", "kind", "user"))
		require.Len(t, a.notified(api.Signaled), 2, "it names s twice")
	})
}

// The same for what is on its way to be owned: each lease gets the signal once, whenever it enters the table.
func TestASignalAboutSeveralStreamsComesBeforeTheAnswerToAcquire(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a := h.start(nil, slowCalls()...)
		h.server.announce("early")
		advance(50 * time.Millisecond)
		a.held("early")
		delayed(a, "acquire", 2500*time.Millisecond)
		h.server.announce("late 1", "late 2")
		advance(200 * time.Millisecond)
		h.server.signalUsers(0, "look", "late 1", "early", "late 2")
		advance(heard)
		require.Len(t, a.notified(api.Signaled), 1)
		advance(3 * time.Second)
		require.Len(t, a.notified(api.Added), 3)
		count := map[string]int{}
		for _, n := range a.notified(api.Signaled) {
			count[n.Stream]++
		}
		require.Equal(t, map[string]int{"early": 1, "late 1": 1, "late 2": 1}, count)
	})
}

// A handler that does not keep up has so many signals waiting, and no more; and they count again when it has gone on.
func TestSignalsThatAHandlerDoesNotKeepUpWithAreDropped(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		goOn := make(chan struct{})
		a := h.start(func(_ context.Context, n api.Notification) error {
			if n.Kind == api.Signaled {
				<-goOn
			}
			return nil
		})
		h.server.announce("s", "other")
		for i := range 100 {
			if i == 0 {
				advance(50 * time.Millisecond)
			}
			h.server.signalUser(0, "s", fmt.Sprint(i))
		}
		h.server.signalUser(0, "other", "x")
		advance(heard)
		require.Equal(t, 100-signalsWaiting, a.counted("signals_dropped_total"))
		a.heldThroughout(2, time.Minute)
		close(goOn)
		synctest.Wait()
		require.Len(t, a.notified(api.Signaled), signalsWaiting+1)
		require.Empty(t, a.signaled.count)
		require.Zero(t, a.signaled.all)
		h.server.signalUser(0, "s", "again")
		advance(heard)
		require.Len(t, a.notified(api.Signaled), signalsWaiting+2)
	})
}

// A function of RunEach gets no signals; they do not wait for its end either.
func TestRunEachDropsSignals(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		e := h.runEach(func(ctx context.Context, l api.Lease) error {
			<-ctx.Done()
			return ctx.Err()
		})
		h.server.announce("s")
		advance(time.Second)
		for range 100 {
			h.server.signalUser(0, "s", "look")
		}
		advance(heard)
		require.Equal(t, 100, e.counted("signals_received_total", "kind", "user"))
		require.Zero(t, e.dispatcher.Queued())
		require.Zero(t, e.counted("signals_dropped_total"))
	})
}

// A layer gets signals, and no more than a handler does while it is behind.
func TestLayersGetSignals(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		y := &signalLayer{release: make(chan struct{})}
		e := h.runLayer(y)
		h.server.announce("s")
		advance(time.Second)
		for i := range 100 {
			h.server.signalUser(0, "s", fmt.Sprint(i))
		}
		advance(heard)
		dropped := e.counted("signals_dropped_total")
		close(y.release)
		synctest.Wait()
		require.InDelta(t, 100-signalsWaiting, dropped, 1, "and one that is being called")
		require.Len(t, y.got, 100-dropped)
		require.Equal(t, "0", y.got[0])
	})
}

// signalLayer records signals, the first of which waits.
type signalLayer struct {
	release chan struct{}
	got     []string
}

func (*signalLayer) Added(api.Lease)                  {}
func (*signalLayer) Releasing(api.Lease, error)       {}
func (*signalLayer) Superseded(api.Lease)             {}
func (*signalLayer) Disowned(api.Lease, error)        {}
func (*signalLayer) Topology()                        {}
func (*signalLayer) SignalsMissed(int)                {}
func (y *signalLayer) Signaled(_ api.Lease, p []byte) { <-y.release; y.got = append(y.got, string(p)) }
