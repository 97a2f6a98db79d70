package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/waitlist"
	"github.com/streamlease/streamlease/lease"
)

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
