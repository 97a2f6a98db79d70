package lease

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/stretchr/testify/require"
)

// The model of TestTableAgainstAModel is small. Here sets have more handles than one container of a bitmap, and more than are taken
// out at a time, and containers are dense and sparse; handles are reused by other partitions.
func TestSetsOfManyLeases(t *testing.T) {
	const n, partitions = 75_000, 3
	table := newTable(t, partitions)
	sessions := []*Session{sessionIn(0), sessionIn(1), sessionIn(2)}
	stale := sessionIn(1) // of the same partition, and lost
	of := func(i int) *Session {
		switch {
		case i%1000 == 0:
			return sessions[2]
		case i%7 == 0:
			return stale
		default:
			return sessions[i/20_000%2]
		}
	}
	listed := make(map[*Session][]*Lease)
	add := func(i int, s *Session) {
		l := row(s, strconv.Itoa(i))
		require.True(t, table.Add(l, tick, nil))
		listed[s] = append(listed[s], l)
	}
	check := func() {
		t.Helper()
		counts := make([]int, partitions)
		for s, leases := range listed {
			// No ElementsMatch: it compares each with each.
			byHandle := func(a, b *Lease) int { return int(a.handle) - int(b.handle) }
			slices.SortFunc(leases, byHandle)
			require.True(t, slices.Equal(leases, slices.Collect(table.Of(s))), "by ascending handle")
			counts[s.partition] += len(leases)
		}
		require.Equal(t, counts, table.Counts(nil))
	}
	for i := range n {
		add(i, of(i))
	}
	check()
	for s, leases := range listed {
		listed[s] = slices.DeleteFunc(leases, func(l *Lease) bool {
			return l.handle%3 > 0 && table.Remove(l)
		})
	}
	check()
	for i := range n / 3 {
		add(n+i, sessions[i%2])
	}
	check()

	table.Distrust(sessions[0], int64(lasting), tick)
	require.Equal(t, []int{len(listed[sessions[0]]), 0, 0}, table.Unconfirmed(nil))
	half := listed[sessions[0]][:len(listed[sessions[0]])/2]
	table.Renewed(half, tick, func(*Lease) int64 { return tick }, func(time.Duration) {})
	require.Equal(t, []int{len(listed[sessions[0]]) - len(half), 0, 0}, table.Unconfirmed(nil))
	for _, l := range listed[sessions[0]] {
		require.True(t, table.Remove(l))
	}
	require.Equal(t, []int{0, 0, 0}, table.Unconfirmed(nil))
	require.Equal(t, roaring.Bitmap{}, table.mu.sets[0].unconfirmed, "its memory is free again")
	queues := make([][]*Lease, partitions)
	table.MakeAllDue(5 * tick)
	require.True(t, table.Due(5*tick, queues, always(5*tick)))
	require.Equal(t, table.Counts(nil), []int{len(queues[0]), len(queues[1]), len(queues[2])})
}
