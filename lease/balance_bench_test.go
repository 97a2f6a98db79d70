package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkBeatBalance compares beats that report the standing of a process with beats that do not, in short turns on one server, in fleets
// of several sizes; and with those of a process that wants to know how long entries wait. The metrics are server time a beat: without a
// report, and how much more the others take than those in the same turn; medians.
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
			turn := func(s *Store, waits bool) time.Duration {
				const n = 200
				a.standing.Waits = waits
				w.reset()
				for range n {
					if _, err := s.Beat(w.ctx, 0, alice, false); err != nil {
						b.Fatal(err)
					}
				}
				return w.serverTime("evalsha") / n
			}
			var without, more, waits []time.Duration
			for b.Loop() {
				base := turn(w.store, false)
				without = append(without, base)
				more = append(more, turn(a.store, false)-base)
				waits = append(waits, turn(a.store, true)-base)
			}
			b.ReportMetric(0, "ns/op")
			for name, all := range map[string][]time.Duration{"without": without, "more": more, "waits-more": waits} {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2])/float64(time.Microsecond), name+"-redis-us/beat")
			}
		})
	}
}
