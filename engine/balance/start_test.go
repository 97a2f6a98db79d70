package balance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start starts processes within a time, with 10,000 streams that wait, and returns also the most that one of them ever held, in shares.
func start(processes int, within time.Duration) (row, float64) {
	f := newFleet(all, 10_000, 0, 1)
	f.announce()
	starts := make(map[int32]int)
	for i := range processes {
		at := 1
		if i > 0 {
			at += f.random.IntN(int(within / step))
		}
		starts[int32(at)]++
	}
	most := 0
	for f.now < 400*second {
		for range starts[f.now] {
			f.join(1)
		}
		f.step()
		for _, p := range f.live {
			most = max(most, p.held)
		}
	}
	return f.result(fmt.Sprintf("%d within %v", processes, within)), float64(most*processes) / 10_000
}

func TestColdStart(t *testing.T) {
	alone, _ := start(1, step)
	alone.balancedWithin(t, 3)
	require.Zero(t, alone.moved)
	rows := []row{alone}
	for _, c := range []struct {
		processes int
		within    time.Duration
		most      float64 // shares
		balanced  float64 // s
	}{
		{5, 200 * time.Millisecond, 1.1, 3},
		{20, 500 * time.Millisecond, 1.6, 180},
		{20, 2 * time.Second, 1.6, 180},
		// Here it may happen that nobody joins for a second, and who is there takes what it must think is its share.
		{3, 3 * time.Second, 3, 180},
	} {
		r, most := start(c.processes, c.within)
		require.LessOrEqual(t, most, c.most, r.name)
		r.balancedWithin(t, c.balanced)
		require.LessOrEqual(t, r.most, 1, r.name)
		rows = append(rows, r)
	}
	golden(t, "start", rows...)
}
