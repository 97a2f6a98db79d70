package lease

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkBeatBalance compares beats that report the standing of a process with beats that do not, in turn on one server, in fleets of
// several sizes; and with those of a process that wants to know how long entries wait. The metrics are server time a beat, the least of
// several rounds.
func BenchmarkBeatBalance(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("consumers=%d", size), func(b *testing.B) {
			w, _ := benchHarness(b, 0)
			for i := range size {
				w.sharer(fmt.Sprintf("peer.%d", i))
			}
			w.announceMany(0, 10)
			a := w.sharer(alice)
			a.standing.Held = 7
			least := map[string]float64{}
			round := func(name string, s *Store, waits bool) {
				const n = 2000
				a.standing.Waits = waits
				w.reset()
				for range n {
					if _, err := s.Beat(w.ctx, 0, alice, false); err != nil {
						b.Fatal(err)
					}
				}
				took := float64(w.serverTime("evalsha")) / n
				if was, ok := least[name]; !ok || took < was {
					least[name] = took
				}
			}
			for b.Loop() {
				for range 5 {
					round("without", w.store, false)
					round("with", a.store, false)
					round("waits", a.store, true)
				}
			}
			b.ReportMetric(0, "ns/op")
			for what, ns := range least {
				b.ReportMetric(ns/float64(time.Microsecond), what+"-redis-us/beat")
			}
		})
	}
}
