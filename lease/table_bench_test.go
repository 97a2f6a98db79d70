package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/wheel"
)

// benchTable is a table of n leases that are due one after the other, once in an interval of 10 s.
func benchTable(b *testing.B, n int) (*Table, []*Lease) {
	table, err := NewTable(NewClock(), 1, wheel.Config{})
	require.NoError(b, err)
	layout, s := layoutOf(b, 1), sessionIn(0)
	leases := make([]*Lease, n)
	for i := range leases {
		stream := fmt.Sprintf("stream%06d", i)
		e := &Entry{Stream: stream, Key: layout.Keys(0).Lease(stream), ID: fmt.Sprintf("%d-0", 1_763_724_300_000+i)}
		leases[i] = New(s, e, api.Token(1_763_724_300_000_000+i), 1, time.Hour, &notary{})
		table.Add(leases[i], table.clock.Now()+int64(benchInterval)*int64(i)/int64(n), nil)
	}
	return table, leases
}

const benchInterval = 10 * time.Second

// BenchmarkTable is what the table costs a lease, at two sizes: due and renewed again, in virtual time; found by its
// stream; taken off and listed again.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("renew/leases=%d", n), func(b *testing.B) {
			table, _ := benchTable(b, n)
			now := table.clock.Now()
			queues := make([][]*Lease, 1)
			next := func(*Lease) int64 { return now + int64(benchInterval) }
			decide := func(*Lease) (int64, bool) { return now + int64(time.Hour), true }
			late := func(time.Duration) {}
			b.ReportAllocs()
			b.ResetTimer()
			renewed := 0
			for renewed < b.N {
				now += int64(wheel.DefaultTick)
				table.Due(now, queues, decide)
				table.Renewed(queues[0], now, next, late)
				renewed += len(queues[0])
				queues[0] = queues[0][:0]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(renewed), "ns/lease") // an iteration is a lease
		})
		b.Run(fmt.Sprintf("wave/leases=%d", n), func(b *testing.B) {
			table, leases := benchTable(b, n)
			now := table.clock.Now() + int64(benchInterval)
			queues := make([][]*Lease, 1)
			table.Due(now, queues, func(*Lease) (int64, bool) { return now + int64(time.Hour), true })
			limit := WaveLimit{Leases: 16 * DefaultMaxBatch, Weight: 1 << 20}
			b.ReportAllocs()
			chosen := 0
			for b.Loop() {
				for rest := queues[0]; len(rest) > 0; {
					var wave Wave
					wave, rest = table.NextWave(rest, leases[0].session, now, 0, limit)
					chosen += len(wave.Leases)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(chosen), "ns/lease")
		})
		b.Run(fmt.Sprintf("get/leases=%d", n), func(b *testing.B) {
			table, leases := benchTable(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if table.Get(leases[i%n].Stream()) == nil {
					b.Fatal("not there")
				}
			}
		})
		b.Run(fmt.Sprintf("replace/leases=%d", n), func(b *testing.B) {
			table, leases := benchTable(b, n)
			at := table.clock.Now() + int64(benchInterval)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				table.Remove(leases[i%n])
				table.Add(leases[i%n], at, nil)
			}
		})
	}
}

// BenchmarkBatch builds the call that renews a batch, without sending it.
func BenchmarkBatch(b *testing.B) {
	for _, size := range []int{16, DefaultMaxBatch} {
		b.Run(fmt.Sprintf("leases=%d", size), func(b *testing.B) {
			_, leases := benchTable(b, size)
			k := layoutOf(b, 1).Keys(0)
			consumer := leases[0].Session().Consumer()
			head := []string{consumer, "10000", "3000", "info", "1763724300000000", "30000"}
			b.ReportAllocs()
			for b.Loop() {
				if c := renewal(k, consumer, head, leases, "", noReport); len(c.Keys) != 3+size {
					b.Fatal(len(c.Keys))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/lease")
		})
	}
}
