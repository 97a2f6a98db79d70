package lease

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// BenchmarkBeatSignals compares beats that look for signals with beats that do not, in turn on one server: where there was never a signal, and
// where there are many, the last of them as long as it can be. The metrics are server time a beat, the least of several rounds.
func BenchmarkBeatSignals(b *testing.B) {
	w, _ := benchHarness(b, 0)
	beats := func(s *Store) float64 {
		const n = 2000
		w.reset()
		for range n {
			if _, err := s.Beat(w.ctx, 0, alice, false); err != nil {
				b.Fatal(err)
			}
		}
		return float64(w.serverTime("evalsha")) / n
	}
	set := w.set
	set.Signals = NewSignals(w.layout, w.clock, nil)
	with := NewStore(w.layout, set, w.Client, w.Client, nil)
	least := map[string]float64{}
	round := func(name string) {
		for what, store := range map[string]*Store{"without": w.store, name: with} {
			took := beats(store)
			if was, ok := least[what]; !ok || took < was {
				least[what] = took
			}
		}
	}
	for b.Loop() {
		w.Do("DEL", w.keys.Signals)
		set.Signals.SetPosition(0, "1-0")
		for range 5 {
			round("absent")
		}
		for range 1000 {
			require.NoError(b, w.Client.Do(w.ctx, SignalCommand(w.Client.B(), w.layout, "s", []byte("look"))).Error())
		}
		require.NoError(b, w.Client.Do(w.ctx,
			SignalCommand(w.Client.B(), w.layout, "s", []byte(strings.Repeat("x", api.MaxSignal)))).Error())
		page, err := with.Signals(w.ctx, 0, "1-0", 1)
		require.NoError(b, err)
		for last := page.Signals[0].ID; ; {
			page, err := with.Signals(w.ctx, 0, last, MaxSignalPage)
			require.NoError(b, err)
			if len(page.Signals) > 0 {
				last = page.Signals[len(page.Signals)-1].ID
			}
			set.Signals.SetPosition(0, last)
			if !page.More {
				break
			}
		}
		for range 5 {
			round("known")
		}
	}
	b.ReportMetric(0, "ns/op")
	for what, ns := range least {
		b.ReportMetric(ns/float64(time.Microsecond), what+"-redis-us/beat")
	}
}
