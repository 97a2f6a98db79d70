package balance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/streamlease/streamlease/engine/balance"
)

// What a beat costs here: it has to be little beside what it costs elsewhere.
func BenchmarkBeat(b *testing.B) {
	for _, partitions := range []int{1, 256} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			parts := split(10_000, partitions, 4, 2500)
			s := balance.NewShedder(all, func() float64 { return 0 })
			l := balance.Look{Held: 2500, Settled: true}
			b.ReportAllocs()
			for b.Loop() {
				l.Now += time.Second
				l.Share = balance.ShareOf(1, parts)
				s.Look(l)
			}
		})
	}
}
