package balance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/measure"
)

// A server that uses 10 ms a second and 40 µs a move, read once a second while 100 streams more move in each.
func TestCostOfAMoveIsToldFromThatOfTheFleet(t *testing.T) {
	var costs []cost
	var moves []move
	used := time.Duration(0)
	for i := range 12 {
		at := time.Duration(i) * s
		costs = append(costs, cost{at, measure.Usage{CPU: used, Calls: measure.Commands{"evalsha": int64(2 * i)}}})
		used += 10 * time.Millisecond
		for range 100 * i {
			moves = append(moves, move{at: at + s/2})
			used += 40 * time.Microsecond
		}
	}
	c := moveCost(costs, moves)
	require.InDelta(t, 40*time.Microsecond, c.CPU, float64(time.Microsecond))
	require.Less(t, c.Off, time.Microsecond)
	require.InDelta(t, 0, c.Commands, .01)

	require.Nil(t, moveCost(costs[:4], moves), "too few readings")
	require.Nil(t, moveCost(costs, moves[:10]), "too few moves")
	require.Nil(t, moveCost(nil, nil))
	each, off := slope([]window{{seconds: 1}, {seconds: 1}}, func(measure.Usage) float64 { return 1 })
	require.Zero(t, each)
	require.Zero(t, off)
}
