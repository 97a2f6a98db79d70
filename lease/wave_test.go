package lease

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// queued lists leases and has all of them fall due.
func queued(t *testing.T, table *Table, leases ...*Lease) []*Lease {
	t.Helper()
	for _, l := range leases {
		require.True(t, table.Add(l, tick, nil))
	}
	queues := make([][]*Lease, 1)
	table.Due(tick, queues, always(tick))
	require.ElementsMatch(t, leases, queues[0])
	return append([]*Lease(nil), leases...)
}

// Two thirds of what was renewed in a storm of late renewals were leases that had been disowned while they waited: the
// filter looked at the session alone.
func TestWhatWasLostWhileItWaitedIsNotRenewed(t *testing.T) {
	table, s, other := newTable(t, 1), sessionIn(0), sessionIn(0)
	past := NewSession(context.Background(), NewClock(), 0, alice, 1, lasting)
	a, removed, foreign, late, ended, b := row(s, "a"), row(s, "removed"), row(other, "foreign"), row(s, "late"), row(past, "ended"), row(s, "b")
	queue := queued(t, table, a, removed, foreign, late, ended, b)
	table.Remove(removed)
	late.Cap(1)
	past.End()
	wave, rest := table.NextWave(queue, s, 2*tick, 0, WaveLimit{Leases: 10, Weight: 1 << 20})
	require.Equal(t, []*Lease{a, b}, wave.Leases)
	require.Empty(t, rest)
	require.EqualValues(t, tick, wave.Oldest)
	for _, l := range []*Lease{removed, foreign, late, ended} {
		require.False(t, l.queued, "%s can be queued again", l.Stream())
	}
	require.True(t, a.queued && b.queued)
}

func TestAWaveIsBoundedInLeasesAndInBytes(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	long := func(name string) *Lease { return row(s, name+strings.Repeat("x", 1000)) }
	leases := []*Lease{row(s, "a"), row(s, "b"), long("c"), long("d"), row(s, "e"), long("f")}
	queue := queued(t, table, leases...)
	var got [][]*Lease
	for limit := (WaveLimit{Leases: 2, Weight: leases[2].weight() + leases[4].weight()}); len(queue) > 0; {
		var wave Wave
		wave, queue = table.NextWave(queue, s, 2*tick, 0, limit)
		got = append(got, wave.Leases)
		require.LessOrEqual(t, wave.Weight, limit.Weight)
	}
	require.Equal(t, [][]*Lease{leases[:2], leases[2:3], leases[3:5], leases[5:]}, got)

	for _, l := range leases {
		table.Retry([]*Lease{l}, tick)
	}
	wave, rest := table.NextWave(leases[2:3], s, 2*tick, 0, WaveLimit{Leases: 2, Weight: 10})
	require.Len(t, wave.Leases, 1, "one that is too large goes alone")
	require.Empty(t, rest)
}

// Those whose answer would come too late go last, and still go.
func TestWhatIsTooLateGoesLast(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	leases := []*Lease{row(s, "a"), row(s, "b"), row(s, "c"), row(s, "d")}
	queue := queued(t, table, leases...)
	leases[0].Cap(3 * tick)
	leases[1].Cap(3 * tick)
	limit := WaveLimit{Leases: 1, Weight: 1 << 20}
	var got []string
	for len(queue) > 0 {
		var wave Wave
		wave, queue = table.NextWave(queue, s, 2*tick, 2*tick, limit)
		for _, l := range wave.Leases {
			got = append(got, l.Stream())
		}
	}
	require.Equal(t, []string{"c", "d", "a", "b"}, got)
}

// A wave is filled from so many leases only, and what is too late waits for those behind it.
func TestAWaveLooksAtSoManyLeasesOnly(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	var leases []*Lease
	for i := range 10 {
		leases = append(leases, row(s, string(rune('a'+i))))
	}
	queue := queued(t, table, leases...)
	for _, l := range leases[1:8] {
		table.Remove(l)
	}
	wave, rest := table.NextWave(queue, s, 2*tick, 0, WaveLimit{Leases: 2, Weight: 1 << 20})
	require.Equal(t, leases[:1], wave.Leases)
	wave, rest = table.NextWave(rest, s, 2*tick, 0, WaveLimit{Leases: 2, Weight: 1 << 20})
	require.Equal(t, leases[8:], wave.Leases)
	require.Empty(t, rest)
}

// However many are dropped, or are too late, what is of use behind them is found, and goes first.
func TestAWaveIsEmptyOnlyWhereNothingIsOfUse(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	var leases []*Lease
	for i := range 60 {
		leases = append(leases, row(s, strconv.Itoa(i)))
	}
	queue := queued(t, table, leases...)
	for i, l := range leases[:59] {
		if i%2 == 0 {
			table.Remove(l)
		} else {
			l.Cap(3 * tick)
		}
	}
	limit := WaveLimit{Leases: 2, Weight: 1 << 20}
	wave, rest := table.NextWave(queue, s, 2*tick, 2*tick, limit)
	require.Equal(t, []*Lease{leases[59], leases[1]}, wave.Leases)
	require.Len(t, rest, 28)
	for _, l := range append(rest, wave.Leases...) {
		table.Remove(l)
	}
	wave, rest = table.NextWave(rest, s, 2*tick, 2*tick, limit)
	require.Empty(t, wave.Leases)
	require.Zero(t, wave.Oldest)
	require.Empty(t, rest)
}

// When the last answer took longer than the session has left, every lease is too late, and all of them go: each call takes
// a wave out, whatever their number.
//
// Those that were too late went only once nothing else was left of the queue. With more of them than were looked at at a
// time there always was, so they went round in circles, and no beat was sent, until the session was over.
func TestWavesGoOnWhenAllIsTooLate(t *testing.T) {
	for _, n := range []int{64, 65, 1000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			const most = 16
			table, s := newTable(t, 1), sessionIn(0)
			leases := make([]*Lease, n)
			for i := range leases {
				leases[i] = row(s, strconv.Itoa(i))
			}
			queue := queued(t, table, leases...)
			s.until.lower(4 * tick)
			sent := make([]*Lease, 0, n)
			for range (n + most - 1) / most {
				var wave Wave
				wave, queue = table.NextWave(queue, s, 2*tick, 5*tick, WaveLimit{Leases: most, Weight: 1 << 20})
				require.Len(t, wave.Leases, min(most, n-len(sent)))
				require.EqualValues(t, tick, wave.Oldest)
				sent = append(sent, wave.Leases...)
			}
			require.Empty(t, queue)
			require.ElementsMatch(t, leases, sent)
		})
	}
}

// A lease that waits for its turn rings for its deadline and not before: a long queue costs nothing while it waits.
func TestALeaseThatWaitsRingsForItsDeadlineOnly(t *testing.T) {
	table, s := newTable(t, 1), sessionIn(0)
	l := row(s, "a")
	queued(t, table, l)
	l.Cap(50 * tick)
	rings := 0
	for now := 2 * tick; now < 49*tick; now += tick {
		table.Due(now, make([][]*Lease, 1), func(*Lease) (int64, bool) { rings++; return now + tick, true })
	}
	require.LessOrEqual(t, rings, 1)
	table.Due(49*tick, make([][]*Lease, 1), func(*Lease) (int64, bool) { rings += 10; return 60 * tick, false })
	require.GreaterOrEqual(t, rings, 10, "its deadline is watched")
}
