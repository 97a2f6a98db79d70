package balance_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Streams that come and go move nothing.
func TestSteadyFleet(t *testing.T) {
	f := settled(all, 4, 10_000, 300, 1)
	for range 300 {
		f.arrive()
	}
	for f.now < f.mark+24*3600*second {
		if f.random.IntN(int(second)) == 0 { // one a second
			switch f.random.IntN(2) {
			case 0:
				if len(f.free) > 0 {
					f.arrive()
				}
			case 1:
				if len(f.free) < 600 {
					f.end()
				}
			}
		}
		f.step()
	}
	r := f.result("4, 24 h, 10,000 ± 3 %, one a second ends or comes")
	require.Zero(t, r.moved)
	require.Greater(t, f.arrivals, 40_000)

	f = settled(all, 4, 10_000, 0, 1)
	victim := f.live[0]
	for range victim.held / 2 {
		f.endOne(victim.holds[0].head)
	}
	f.run(20)
	for len(f.free) > 0 {
		f.arrive()
	}
	f.run(400)
	half := f.result("4, half of one's streams end and come again")
	require.Zero(t, half.moved)
	half.spreadWithin(t, 0.9, 1.1)
	golden(t, "steady", r, half)
}

// More partitions: what counts are sums.
func TestPartitions(t *testing.T) {
	var rows []row
	for _, partitions := range []int{16, 256} {
		f := settled(all, 19, 2000, 0, partitions)
		f.join(1)
		f.run(400)
		one := f.result(fmt.Sprintf("%d partitions, 2,000 streams, 19 -> 20", partitions))
		one.balancedWithin(t, 180)
		require.LessOrEqual(t, one.most, 1)

		f = settled(all, 5, 2000, 0, partitions)
		f.joinAll(15)
		f.run(400)
		many := f.result(fmt.Sprintf("%d partitions, 2,000 streams, 5 -> 20", partitions))
		many.spreadWithin(t, 0.7, 1.2) // each read that waits may bring one stream beyond the share
		require.LessOrEqual(t, many.most, 2)

		f = settled(all, 20, 2000, 0, partitions)
		f.drain(f.live[0])
		f.run(400)
		drained := f.result(fmt.Sprintf("%d partitions, 2,000 streams, 20 -> 19", partitions))
		drained.spreadWithin(t, 0.8, 1.2)
		require.LessOrEqual(t, drained.moves, 0.07)
		require.LessOrEqual(t, drained.most, 2)
		rows = append(rows, one, many, drained)
	}
	golden(t, "partitions", rows...)
}

// With few streams a share is a fraction, and somebody has less than others. It ends, and nothing moves after that.
func TestFewStreams(t *testing.T) {
	var rows []row
	for _, c := range []struct{ streams, processes, partitions, most int }{
		{1, 2, 1, 1}, {2, 2, 1, 1}, {2, 3, 1, 1}, {3, 2, 1, 2}, {10, 6, 1, 2}, {10, 20, 1, 1}, {30, 20, 1, 2}, {30, 20, 16, 3}, {100, 20, 1, 7},
	} {
		f := settled(all, 1, c.streams, 0, c.partitions)
		f.joinAll(c.processes - 1)
		f.run(1800)
		moved := f.moved
		f.run(1800)
		r := f.result(fmt.Sprintf("%d streams, 1 -> %d, %d partitions", c.streams, c.processes, c.partitions))
		require.Equal(t, moved, f.moved, r.name)
		require.LessOrEqual(t, slices.Max(r.held), c.most, r.name)
		rows = append(rows, r)
	}
	golden(t, "few", rows...)
}
