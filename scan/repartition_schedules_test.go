package scan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

// rows returns the schedules by name, and checks that each is in its partition.
func (f *fleet) rows(partitions int) map[string]string {
	f.t.Helper()
	layout, all := layoutOf(f.t, partitions), make(map[string]string)
	for p := range partitions {
		rows, err := f.Try("HGETALL", layout.Keys(p).Schedules).AsStrMap()
		require.NoError(f.t, err)
		for name, row := range rows {
			require.Equal(f.t, p, layout.Of(name), "%.40q", name)
			require.NotContains(f.t, all, name)
			all[name] = row
		}
	}
	return all
}

// Schedules go with their names, whatever those look like and whatever is in the rows, by the page and over many of them.
func TestRepartitionMovesSchedules(t *testing.T) {
	f := newFleet(t, 1)
	want := map[string]string{
		"{shop-input}:lease:s": "7 a row\nwith\nlines", "{shop-input-1}:schedules": "8 ", "{shop-input}:meta": "9", "shop-input": "10",
		"{user1}:a": "11", "{}": "12", "!x": "not a row", "s": "\x00\xff", strings.Repeat("long", 16<<10): "13 " + strings.Repeat("i", 1<<16),
	}
	for n := range 1000 {
		want[fmt.Sprint("monitor:", n)] = fmt.Sprint(n, " row")
	}
	for name, row := range want {
		f.Do("HSET", f.layout.Keys(0).Schedules, name, row)
	}
	for _, n := range []int{8, 3, 5, 1} {
		_, err := f.inspector().Repartition(f.ctx, n, nil)
		require.NoError(t, err)
		require.Equal(t, want, f.rows(n))
		require.Equal(t, len(want), f.survey().Total().Schedules)
		for _, key := range f.keys() {
			require.False(t, strings.HasSuffix(key, "}:schedules") && !slices.Contains(schedulesOf(t, n), key), key)
		}
	}
	_, err := f.inspector().DeleteService(f.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, f.keys())
}

func schedulesOf(t *testing.T, partitions int) (keys []string) {
	for p := range partitions {
		keys = append(keys, layoutOf(t, partitions).Keys(p).Schedules)
	}
	return keys
}

// Of two rows of a schedule the later one stays, wherever it is: one may be a copy that an operation which was taken over left behind.
func TestRepartitionKeepsTheLaterRow(t *testing.T) {
	f := newFleet(t, 1)
	two := layoutOf(t, 2)
	name := ""
	for n := 0; two.Of(name) != 1; n++ {
		name = fmt.Sprint("s", n)
	}
	const older, newer = "1790000000000000 old", "1790000000000001 new"
	for _, c := range []struct{ from, left, want string }{
		{newer, older, newer}, {older, newer, newer}, {older, older, older}, {older, "unreadable", "unreadable"},
	} {
		f.Do("HSET", f.layout.Keys(0).Schedules, name, c.from)
		f.Do("HSET", two.Keys(1).Schedules, name, c.left)
		_, err := f.inspector().Repartition(f.ctx, 2, nil)
		require.NoError(t, err)
		require.Equal(t, map[string]string{name: c.want}, f.rows(2), "%+v", c)
		_, err = f.inspector().Repartition(f.ctx, 1, nil)
		require.NoError(t, err)
	}
}

// A schedule that is beyond the number of partitions is ticked by nobody: it is reported, and moved to where it belongs.
func TestSchedulesBeyondTheNumberOfPartitions(t *testing.T) {
	f := newFleet(t, 2)
	beyond := layoutOf(t, 900)
	want := make(map[string]string)
	for n := range 50 {
		name := fmt.Sprint("stranded-", n)
		want[name] = "7 row"
		f.Do("HSET", beyond.Keys(beyond.Of(name)).Schedules, name, "7 row")
	}
	f.add(beyond.Keys(800).Input, "f", "v")
	f.Do("HSET", beyond.Keys(800).Schedules, "stranded-0", "7 row")
	left, err := f.inspector().Leftovers(f.ctx)
	require.NoError(t, err)
	require.Greater(t, len(left), 30)
	require.GreaterOrEqual(t, left[800], 2, "an announcement and a schedule")
	_, err = f.inspector().Repartition(f.ctx, 2, nil)
	require.NoError(t, err)
	require.Equal(t, want, f.rows(2))
	left, err = f.inspector().Leftovers(f.ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Trace: whoever puts schedules has not heard that the service is being repartitioned, and puts one into a partition that was gone through and
// is about to be deleted.
func TestPutWhileItIsRepartitioned(t *testing.T) {
	f := newFleet(t, 3)
	want, n := make(map[string]string), 0
	client := &flaky{Client: f.Client, before: func(script string) error {
		if script == "unlink" && n < 2 {
			name := fmt.Sprint("late-", n)
			want[name] = "7 row"
			f.Do("HSET", f.layout.Keys(2).Schedules, name, "7 row")
			n++
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Repartition(f.ctx, 1, nil)
	require.NoError(t, err)
	require.Equal(t, want, f.rows(1))
}
