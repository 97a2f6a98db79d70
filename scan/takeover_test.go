package scan_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// paused returns an inspector that stalls before its n-th call that changes something, until do has returned.
func (f *fleet) paused(n int, do func()) (i *scan.Inspector, at *string) {
	f.t.Helper()
	calls, at := 0, new(string)
	client := &flaky{Client: f.Client, quiet: true, before: func(name string) error {
		if changes(name) {
			if calls++; calls == n {
				*at = name
				do()
			}
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(f.t, err)
	return i, at
}

const manyTokens = "9007199254740000"

// tokensAre checks that no partition mints a token below one that another has minted.
func (f *fleet) tokensAre(layout *cluster.Layout, token, msg string) {
	f.t.Helper()
	for p := range layout.Partitions() {
		require.Equal(f.t, token, f.Text("GET", layout.Keys(p).Token), "partition %d, %s", p, msg)
	}
}

// An operator gives a service another number of partitions and stalls at any point, and another one gives it yet another number
// in the meantime. When the first one continues, nothing is lost and no token falls: some of its copies may be there beside the
// originals, and running the second operation again moves those to where they belong.
func TestTwoOperatorsWithDifferentNumbers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	for _, way := range []struct{ first, second int }{{5, 3}, {1, 3}, {4, 1}, {1, 2}} {
		for n := 1; ; n += stepTwo {
			f.Do("FLUSHALL")
			f.layout = layoutOf(t, 3)
			require.NoError(t, f.leases.Agree(f.ctx))
			want := f.populate(1)
			f.Do("SET", f.layout.Keys(1).Token, manyTokens)
			second := layoutOf(t, way.second)
			i, at := f.paused(n, func() {
				_, err := f.inspector().Repartition(f.ctx, way.second, nil)
				require.NoError(t, err)
				for stream, times := range want {
					require.GreaterOrEqual(t, f.found(second)[stream], times)
				}
			})
			_, err := i.Repartition(f.ctx, way.first, nil)
			msg := fmt.Sprintf("%+v, overtaken before step %d, %s", way, n, *at)
			if *at == "" { // it was done before
				require.NoError(t, err)
				require.Greater(t, n, 10)
				break
			}
			if *at == "stop" { // it is the first one that came later
				require.NoError(t, err, msg)
				second = layoutOf(t, way.first)
			} else {
				require.ErrorIs(t, err, scan.ErrTakenOver, msg)
				f.tokensAre(second, manyTokens, msg)
				_, err = f.inspector().Repartition(f.ctx, way.second, nil)
				require.NoError(t, err, msg)
			}
			f.holdsAll(second, want, msg)
			f.tokensAre(second, manyTokens, msg)
			require.NoError(t, lease.Agree(f.ctx, lease.NewRunner(f.Client, nil), second))
		}
	}
}

// holdsAll checks that nothing is lost and everything is where it belongs. Some may be there twice.
func (f *fleet) holdsAll(layout *cluster.Layout, want map[string]int, msg string) {
	f.t.Helper()
	found := f.found(layout)
	for stream, times := range want {
		require.GreaterOrEqual(f.t, found[stream], times, "%.40s, %s", stream, msg)
	}
	require.Len(f.t, found, len(want), msg)
}

// An operator deletes a service and stalls at any point; another one keeps what is left in the meantime. When the first one
// continues, it deletes nothing more of any kind.
func TestDeletionThatWasGivenUpDeletesNothingMore(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	for _, number := range []int{3, 2} {
		for n := 1; ; n += 2 {
			f.Do("FLUSHALL")
			f.layout = layoutOf(t, 3)
			require.NoError(t, f.leases.Agree(f.ctx))
			f.populate(1)
			var kept map[string]int
			var keys []string
			i, at := f.paused(n, func() {
				_, err := f.inspector().Repartition(f.ctx, number, nil)
				require.NoError(t, err)
				kept, keys = f.found(layoutOf(t, number)), f.keys()
			})
			_, err := i.DeleteService(f.ctx, nil)
			msg := fmt.Sprintf("to %d, overtaken before step %d, %s", number, n, *at)
			if *at == "" {
				require.NoError(t, err)
				require.Greater(t, n, 10)
				break
			}
			if *at == "stop" {
				require.NoError(t, err, msg)
				require.Zero(t, f.Num("DBSIZE"), msg)
				continue
			}
			require.ErrorIs(t, err, scan.ErrTakenOver, msg)
			require.Equal(t, keys, f.keys(), msg)
			require.Equal(t, kept, f.found(layoutOf(t, number)), msg)
		}
	}
}

// A service that was deleted while a repartitioning was stalled contains only what that copies afterwards, and a survey shows it.
func TestDeletedWhileItIsRepartitioned(t *testing.T) {
	f := newFleet(t, 2)
	for n := 2; ; n += stepTwo {
		f.Do("FLUSHALL")
		require.NoError(t, f.leases.Agree(f.ctx))
		f.populate(1)
		i, at := f.paused(n, func() {
			_, err := f.inspector().DeleteService(f.ctx, nil)
			require.NoError(t, err)
			require.Empty(t, f.keys())
		})
		_, err := i.Repartition(f.ctx, 4, nil)
		if *at == "" {
			require.NoError(t, err)
			require.Greater(t, n, 10)
			return
		}
		if *at == "stop" {
			require.ErrorIs(t, err, scan.ErrUnknownService)
			continue
		}
		require.ErrorIs(t, err, scan.ErrTakenOver, *at)
		require.Len(t, f.survey().Total().Keys, len(f.keys()), "%s: %q", *at, f.keys())
		_, err = f.inspector().DeleteService(f.ctx, nil)
		require.NoError(t, err)
		require.Empty(t, f.keys())
	}
}

// The last call of an operation that was taken over arrives late and removes a partition's mark: the other operation continues
// all the same, and loses nothing.
func TestMarkThatIsTakenAwayMeanwhile(t *testing.T) {
	for _, to := range []int{0, 1, 5} {
		f := newFleet(t, 3)
		want := f.populate(2)
		times := 0
		client := &flaky{Client: f.Client, before: func(name string) error {
			if name != "moved" && name != "unlink" {
				return nil
			}
			if times++; times%2 == 1 {
				for p := range 3 {
					f.Do("SET", f.layout.Keys(p).Recover("!operation"), "whoever")
				}
			}
			return nil
		}}
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
		require.NoError(t, err)
		if to == 0 {
			_, err = i.DeleteService(f.ctx, nil)
		} else {
			_, err = i.Repartition(f.ctx, to, nil)
		}
		require.NoError(t, err, "to %d", to)
		for p := range 5 {
			mark := layoutOf(t, 5).Keys(p).Recover("!operation")
			if f.Text("GET", mark) == "whoever" { // which expires by itself
				f.Do("DEL", mark)
			}
		}
		if to == 0 {
			require.Empty(t, f.keys())
			continue
		}
		require.Equal(t, want, f.found(layoutOf(t, to)))
		for _, key := range f.keys() {
			require.NotContains(t, key, "!operation")
		}
	}
}

// A full server is a reason to delete something.
func TestDeletionOnAFullServer(t *testing.T) {
	f := newFleet(t, 3)
	f.populate(2)
	f.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	f.Do("CONFIG", "SET", "maxmemory", "1")
	_, err := f.inspector().DeleteService(f.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, f.keys())
}

// A consumer started, took something, and was gone again between the first check and the record. Its tokens count: it may have
// minted greater ones than anybody before, on a server whose clock is ahead.
func TestTokensThatAreMintedMeanwhileCount(t *testing.T) {
	for _, to := range []int{1, 2, 5} {
		f := newFleet(t, 3)
		f.populate(1)
		i, at := f.paused(1, func() { f.Do("SET", f.layout.Keys(2).Token, manyTokens) })
		_, err := i.Repartition(f.ctx, to, nil)
		require.NoError(t, err)
		require.Equal(t, "stop", *at)
		f.tokensAre(layoutOf(t, to), manyTokens, "to "+strconv.Itoa(to))
	}
}

// stepTwo is the distance between the steps before which an operation is paused. Each takes some 50 ms.
const stepTwo = 11

// Of two calls at once, one continues, and the other one stops with ErrTakenOver.
func TestTakenOver(t *testing.T) {
	f := newFleet(t, 3)
	want := f.populate(3)
	once := false
	client := &flaky{Client: f.Client, after: func(script string) error {
		if script == "moved" && !once {
			once = true
			_, err := f.inspector().Repartition(f.ctx, 5, nil)
			require.NoError(t, err)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(t, err)
	_, err = i.Repartition(f.ctx, 5, nil)
	require.ErrorIs(t, err, scan.ErrTakenOver)
	found := f.found(layoutOf(t, 5))
	for stream, times := range want {
		require.Equal(t, times, found[stream], "%.40s", stream)
	}
	require.Len(t, found, len(want))
}
