package engine

import (
	"context"
	"fmt"
	"strings"
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

// With every signal lost, everything is as it was without: the owner hears with its renewal, and what is parked is asked for with growing
// delays. And renewals do not notice.
func TestSignalsMayGetLost(t *testing.T) {
	for name, fault := range map[string]fakeFault{"refused": faultOOM, "lost": faultLose, "hanging": faultHang, "cut": faultError} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				a, b := h.twoOf()
				a.fake.failOnly(fault, "signals")
				b.fake.failOnly(fault, "signals")
				h.server.announce("s")
				advance(heard)
				require.Empty(t, a.notified(api.Superseded))
				advance(10 * time.Second)
				require.Len(t, a.notified(api.Superseded), 1)
				a.heldThroughout(1, time.Minute)
				require.NoError(t, a.held("s").Done(t.Context()))
				advance(waitlist.MaxDelay)
				b.held("s")
				require.Positive(t, a.counted("signal_reads_total", "result", "failed"))
				require.NotContains(t, a.logged(), "signals are refused")
				require.Contains(t, a.logged(), "reading signals failed")
			})
		})
	}
}

// Signals that are refused for good, by a missing right or a key of another type, are left out, with a line in the log, and tried again after
// a while.
func TestSignalsThatAreRefusedAreLeftOut(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.with(0, func(p *fakePartition) { p.signalsRefused = errorReply("WRONGTYPE Operation against a key") })
		a, b := h.twoOf()
		h.server.announce("s")
		advance(12 * time.Second)
		require.Len(t, a.notified(api.Superseded), 1, "by the renewal")
		require.Equal(t, 1, a.counted("signal_reads_total", "result", "refused"))
		require.Equal(t, 1, strings.Count(a.logged(), "signals are refused; going on without them"))
		require.Contains(t, a.logged(), "delete or rename it")
		h.server.with(0, func(p *fakePartition) { p.signalsRefused = nil })
		advance(time.Minute)
		require.NoError(t, a.held("s").Done(t.Context()))
		advance(heard)
		b.held("s")
	})
}

// Trace: more was signalled than is kept, and what was trimmed may have been about anything. What is parked is asked for soon, not at once:
// every process is in the same place.
func TestSignalsThatWereTrimmedHaveParkedEntriesAskedForSoon(t *testing.T) {
	trimmed := func(p *fakePartition) { p.signals = nil }
	for name, lose := range map[string]func(h *harness){
		"the end of it": func(h *harness) {
			h.server.with(0, trimmed)
			h.server.signalUser(0, "x", "what is left")
		},
		"another server": func(h *harness) { h.server.restart(false) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				const n = 50
				e := h.parked(n)
				h.server.signalUser(0, "x", "the position is that of a signal")
				advance(3 * time.Minute)
				settle := e.Stats().Parked
				require.Equal(t, n, settle)
				before := e.counted("signal_gaps_total")
				e.fake.takeCalls()
				lose(h)
				advance(heard)
				require.Equal(t, before+1, e.counted("signal_gaps_total"))
				advance(hastenSpread)
				asked := 0
				for _, c := range e.fake.takeCalls() {
					if c.op == "acquire" {
						asked += c.n
						if name != "another server" { // nothing is answered while it settles, so they gather
							require.Less(t, c.n, n/2, "they are spread")
						}
					}
				}
				require.GreaterOrEqual(t, asked, n)
				advance(time.Minute)
				require.Equal(t, before+1, e.counted("signal_gaps_total"), "once")
				h.server.signalUser(0, "x", "and it goes on")
				got := e.counted("signals_received_total", "kind", "user")
				advance(heard)
				require.Equal(t, got+1, e.counted("signals_received_total", "kind", "user"))
			})
		})
	}
}

// Somebody who adds signals without end costs each process so many a beat, and no more; nothing else is held up.
func TestAFloodOfSignalsIsBounded(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a := h.start(nil)
		h.server.announce("s")
		advance(time.Second)
		h.server.with(0, func(p *fakePartition) {
			for range 5 * lease.SignalsKept {
				h.server.signal(p, lease.Signal{Kind: lease.SignalUser, Items: []lease.SignalItem{{Stream: "x"}}})
			}
		})
		before := a.counted("signals_received_total")
		advance(heard)
		got := a.counted("signals_received_total") - before
		require.InDelta(t, lease.SignalsKept, got, lease.MaxSignalPage)
		require.Equal(t, 1, a.counted("signal_gaps_total"))
		advance(heard)
		h.server.signalUser(0, "s", "behind it")
		advance(heard)
		require.Len(t, a.notified(api.Signaled), 1)
		a.kept(1)
	})
}

// Trace: signals are read while the server changes. The page belongs to the old one, and what it says of the position must not replace the one
// that the next beat gives: on the new server it may be ahead of everything, and nothing would be read for as long.
func TestAPageOfAnEarlierServerMovesNoPosition(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a := h.start(nil, slowCalls()...)
		h.server.announce("s")
		advance(time.Second)
		delayed(a, "signals", 2*time.Second)
		h.server.with(0, func(p *fakePartition) {
			// The clock of the old server is ahead.
			p.signals = append(p.signals, lease.Signal{ID: fmt.Sprintf("%d-0", nowMilli()+3_600_000), Kind: lease.SignalUser,
				Items: []lease.SignalItem{{Stream: "x"}}})
		})
		advance(heard)
		h.server.restart(false)
		h.server.with(0, func(p *fakePartition) { p.signals = nil })
		advance(5 * time.Second)
		delayed(a, "signals", 0)
		advance(heard)
		h.server.signalUser(0, "s", "look")
		advance(heard)
		require.Len(t, a.notified(api.Signaled), 1)
	})
}

// Trace: the server's clock was an hour ahead when the session was opened, and nothing was signalled until it was set right.
func TestSignalsAreHeardAfterTheClockWasSetBack(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a := h.start(nil, slowCalls()...)
		h.server.announce("s")
		advance(time.Second)
		a.positions.SetPosition(0, fmt.Sprintf("%d-18446744073709551615", nowMilli()+3_600_000))
		advance(heard)
		h.server.signalUser(0, "s", "look")
		advance(heard)
		require.Len(t, a.notified(api.Signaled), 1)
	})
}

// What was signalled of a stream during an acquisition is acted on, however much else was: the oldest is forgotten, and then whatever
// was asked for is asked for again.
func TestRecentSignalsAreBounded(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		a, b := h.twoOf(slowCalls()...)
		delayed(b, "acquire", 3*time.Second)
		h.server.announce("s")
		advance(500 * time.Millisecond)
		require.NoError(t, a.held("s").Done(t.Context()))
		for range 3 * recentSignals {
			h.server.signalUser(0, "x", "")
		}
		advance(2 * time.Second)
		b.signals.parts[0].mu.Lock()
		require.LessOrEqual(t, len(b.signals.parts[0].recent), recentSignals)
		require.Positive(t, b.signals.parts[0].recentFrom)
		b.signals.parts[0].mu.Unlock()
		delayed(b, "acquire", 0)
		advance(510 * time.Millisecond)
		b.held("s")
		require.Empty(t, b.signals.parts[0].recent)
	})
}
