package lease

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/wheel"
)

// benchParted is a table of n leases, dealt over partitions with a session each, in the order in which readers add them: a batch of
// each partition in turn.
func benchParted(b testing.TB, n, partitions int) (*Table, []*Session) {
	const batch = 100
	table, err := NewTable(NewClock(), partitions, wheel.Config{})
	require.NoError(b, err)
	layout := layoutOf(b, partitions)
	sessions := make([]*Session, partitions)
	for p := range sessions {
		sessions[p] = sessionIn(p)
	}
	for i := range n {
		p := i / batch % partitions
		stream := fmt.Sprintf("stream%07d", i)
		e := &Entry{Stream: stream, Key: layout.Keys(p).Lease(stream), ID: fmt.Sprintf("%d-0", 1_763_724_300_000+i)}
		l := New(sessions[p], e, api.Token(1_763_724_300_000_000+i), 1, lasting, &notary{})
		table.Add(l, int64(benchInterval)+int64(i)*int64(benchInterval)/int64(n), nil)
	}
	runtime.GC()
	return table, sessions
}

// BenchmarkTableSets is what the table costs those that ask for the leases of sessions: an iteration visits those of each of 128
// partitions, one after the other, as a comparison does, or after a change of their server. Of all visits them in one pass.
func BenchmarkTableSets(b *testing.B) {
	const partitions = 128
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		bench := func(name string, run func(table *Table, sessions []*Session) int) {
			b.Run(fmt.Sprintf("%s/leases=%d", name, n), func(b *testing.B) {
				table, sessions := benchParted(b, n, partitions)
				b.ReportAllocs()
				for b.Loop() {
					if got := run(table, sessions); got != n {
						b.Fatal(got)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/lease")
			})
		}
		bench("of", func(table *Table, sessions []*Session) (visited int) {
			for _, s := range sessions {
				for range table.Of(s) {
					visited++
				}
			}
			return visited
		})
		bench("distrust", func(table *Table, sessions []*Session) (visited int) {
			at := table.clock.Now() + int64(benchInterval)
			for _, s := range sessions {
				table.Distrust(s, int64(lasting), at)
			}
			for _, count := range table.Unconfirmed(nil) {
				visited += count
			}
			return visited
		})
		bench("hasten", func(table *Table, sessions []*Session) (visited int) {
			at := table.clock.Now() + int64(benchInterval)
			for _, s := range sessions {
				table.Hasten(s, func(*Lease) (int64, bool) {
					visited++
					return at, true
				})
			}
			return visited
		})
		bench("make all due", func(table *Table, _ []*Session) (visited int) {
			table.MakeAllDue(table.clock.Now() + int64(benchInterval))
			return n
		})
		bench("all", func(table *Table, _ []*Session) int { return len(table.All()) })
	}
}

// BenchmarkTableReplace takes leases off the table and lists them again, in one partition and in many.
func BenchmarkTableReplace(b *testing.B) {
	for _, partitions := range []int{1, 128} {
		for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("partitions=%d/leases=%d", partitions, n), func(b *testing.B) {
				table, _ := benchParted(b, n, partitions)
				leases := table.All()
				at := int64(benchInterval)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					l := leases[i*7919%n]
					table.Remove(l)
					table.Add(l, at, nil)
				}
			})
		}
	}
}
