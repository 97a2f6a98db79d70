package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInFlightTakesTurns(t *testing.T) {
	var woken []int
	f := newInFlight(4, func(p int) { woken = append(woken, p) })
	a := f.reserve(0, 7, laneWeight/2)
	require.NotNil(t, a)
	require.NotNil(t, f.reserve(1, 8, laneWeight), "another master")
	require.Nil(t, f.reserve(2, 7, laneWeight*2), "too heavy, unless it is alone")
	require.Nil(t, f.reserve(3, 7, 1), "nobody overtakes")
	require.Nil(t, f.reserve(2, 7, laneWeight*2))
	require.Empty(t, woken)
	f.release(a, laneWeight/2)
	require.Equal(t, []int{2}, woken)
	b := f.reserve(2, 7, laneWeight*2)
	require.NotNil(t, b)
	require.Equal(t, []int{2, 3}, woken)
	require.Nil(t, f.reserve(3, 7, 1))
	f.release(b, laneWeight*2)
	require.Equal(t, []int{2, 3, 3}, woken)

	// A partition that has nothing more to send lets the next one go, and one whose master has changed waits for the new one.
	c := f.reserve(3, 7, laneWeight)
	require.Nil(t, f.reserve(0, 7, 1))
	require.Nil(t, f.reserve(2, 7, 1))
	woken = nil
	f.leaveQueue(0)
	f.leaveQueue(0)
	require.Equal(t, []int{2}, woken)
	d := f.reserve(2, 9, 1)
	require.NotNil(t, d)
	f.release(c, laneWeight)
	f.release(d, 1)
	require.Len(t, f.mu.lanes, 1, "the lane of the other master is in use")
}

// Whatever partitions do, the weight in flight is bounded, and in the end nothing is in flight and nobody waits.
func TestInFlightLosesNothing(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	const partitions = 6
	want := make([]bool, partitions)
	f := newInFlight(partitions, func(p int) { want[p] = true })
	type entered struct {
		l      *lane
		weight int
	}
	var in []entered
	for range 10_000 {
		switch p := draw.IntN(partitions); draw.IntN(4) {
		case 0:
			f.leaveQueue(p)
		case 1:
			if len(in) > 0 {
				i := draw.IntN(len(in))
				f.release(in[i].l, in[i].weight)
				in = append(in[:i], in[i+1:]...)
			}
		default:
			weight := 1 + draw.IntN(laneWeight*5/4)
			if l := f.reserve(p, draw.IntN(2), weight); l != nil {
				in = append(in, entered{l, weight})
			}
		}
		for _, l := range f.mu.lanes {
			sum, most := 0, 0
			for _, x := range in {
				if x.l == l {
					sum, most = sum+x.weight, max(most, x.weight)
				}
			}
			require.Equal(t, sum, l.weight)
			require.LessOrEqual(t, sum, max(laneWeight, most))
		}
	}
	for _, x := range in {
		f.release(x.l, x.weight)
	}
	for p := range partitions {
		f.leaveQueue(p)
	}
	require.Empty(t, f.mu.lanes)
	require.Equal(t, make([]*lane, partitions), f.mu.waits)
}
