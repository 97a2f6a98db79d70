package engine

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// A layer hears when signals may not have arrived, whatever the reason, and of which partition; and once for each time.
func TestLayerHearsThatSignalsWereMissed(t *testing.T) {
	for name, lose := range map[string]func(h *harness, e *testEngine, p *fakePartition){
		"trimmed, and more came": func(h *harness, _ *testEngine, p *fakePartition) {
			p.signals = nil
			h.server.signal(p, lease.Signal{Kind: lease.SignalUser, Items: []lease.SignalItem{{Stream: "x"}}})
		},
		"more than can be read": func(h *harness, _ *testEngine, p *fakePartition) {
			for range lease.SignalsKept + 1 {
				h.server.signal(p, lease.Signal{Kind: lease.SignalUser, Items: []lease.SignalItem{{Stream: "x"}}})
			}
		},
		"the clock was set back": func(_ *harness, e *testEngine, _ *fakePartition) {
			e.positions.SetPosition(1, fmt.Sprintf("%d-18446744073709551615", nowMilli()+3_600_000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, h *harness) {
				r := newRecorder()
				e := h.runLayer(r)
				h.server.announce(h.streamIn(1, 0))
				advance(time.Second)
				h.server.signalUser(1, "x", "the position is that of a signal")
				advance(heard)
				require.Empty(t, r.takeMissed())
				h.server.with(1, func(p *fakePartition) { lose(h, e, p) })
				advance(2 * heard)
				require.Equal(t, []int{1}, r.takeMissed())
				h.server.signalUser(1, h.streamIn(1, 0), "it goes on")
				advance(heard)
				require.Equal(t, "added, signaled it goes on", r.of(h.streamIn(1, 0)))
				require.Empty(t, r.takeMissed())
				r.check(t)
			})
		})
	}
}

// Another server may have forgotten what was sent last, and so may one that answers for the first time after an outage.
func TestLayerHearsThatSignalsWereMissedWhenAnotherServerAnswers(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		r := newRecorder()
		h.runLayer(r)
		advance(time.Second)
		require.Empty(t, r.takeMissed(), "opening a session misses nothing")
		h.server.restart(false)
		advance(3 * heard)
		require.ElementsMatch(t, []int{0, 1}, r.takeMissed())
		advance(time.Minute)
		require.Empty(t, r.takeMissed())
	})
}

// While a layer takes its time with SignalsMissed, renewal goes on, what happens meanwhile leads to one more call for each partition,
// and nothing is lost that waits behind it. A layer that panics, or ends the goroutine, loses that call only.
func TestSignalsMissedMayHangOrPanic(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		r := newRecorder()
		goOn, wrong := make(chan struct{}), true
		r.onMissed = func(partition int) {
			if !wrong {
				return
			}
			switch partition {
			case 0:
				<-goOn
			case 1:
				panic("missed")
			case 2:
				runtime.Goexit()
			}
		}
		e := h.runLayer(r)
		s := h.streamIn(0, 0)
		h.server.announce(s)
		advance(time.Second)
		e.way.signalsMissed(0)
		synctest.Wait()
		for range 3 {
			for p := range 3 {
				e.way.signalsMissed(p)
			}
		}
		h.server.signalUser(0, s, "behind it")
		e.heldThroughout(1, time.Minute)
		require.Equal(t, []int{0}, r.takeMissed())
		require.Equal(t, "added", r.of(s))
		close(goOn)
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2}, r.takeMissed())
		require.Equal(t, "added, signaled behind it", r.of(s))
		wrong = false
		for p := range 3 {
			e.way.signalsMissed(p)
		}
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2}, r.takeMissed())
		r.onReleasing = func(l api.Lease) { e.Ended(l, nil) }
		require.NoError(t, e.Shutdown(t.Context()))
		e.way.signalsMissed(0)
		synctest.Wait()
		require.Empty(t, r.takeMissed(), "nothing is called after the end")
	})
}
