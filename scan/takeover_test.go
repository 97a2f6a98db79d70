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

// overtaken is an inspector that stands still before its n-th call that changes something, until do has returned.
func (o *office) overtaken(n int, do func()) (i *scan.Inspector, at *string) {
	o.t.Helper()
	calls, at := 0, new(string)
	client := &flaky{Client: o.Client, quiet: true, before: func(name string) error {
		if changes(name) {
			if calls++; calls == n {
				*at = name
				do()
			}
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(o.t, err)
	return i, at
}

const manyTokens = "9007199254740000"

// tokensAre checks that no partition mints a token below one that another has minted.
func (o *office) tokensAre(layout *cluster.Layout, token, msg string) {
	o.t.Helper()
	for p := range layout.Partitions() {
		require.Equal(o.t, token, o.Text("GET", layout.Keys(p).Token), "partition %d, %s", p, msg)
	}
}

// An operator gives a service another number of partitions, stands still, wherever, and another one gives it yet another
// number meanwhile. What the first one does when it goes on loses nothing and lets no token fall: some of its copies may be there
// beside the originals, and the same as the second one did brings them home.
func TestTwoOperatorsWithDifferentNumbers(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 3)
	for _, way := range []struct{ first, second int }{{5, 3}, {1, 3}, {4, 1}, {1, 2}} {
		for n := 1; ; n += stepTwo {
			o.Do("FLUSHALL")
			o.layout = layoutOf(t, 3)
			require.NoError(t, o.leases.Agree(o.ctx))
			want := o.furnish(1)
			o.Do("SET", o.layout.Keys(1).Token, manyTokens)
			second := layoutOf(t, way.second)
			i, at := o.overtaken(n, func() {
				_, err := o.inspector().Repartition(o.ctx, way.second, nil)
				require.NoError(t, err)
				for stream, times := range want {
					require.GreaterOrEqual(t, o.found(second)[stream], times)
				}
			})
			_, err := i.Repartition(o.ctx, way.first, nil)
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
				o.tokensAre(second, manyTokens, msg)
				_, err = o.inspector().Repartition(o.ctx, way.second, nil)
				require.NoError(t, err, msg)
			}
			o.holdsAll(second, want, msg)
			o.tokensAre(second, manyTokens, msg)
			require.NoError(t, lease.Agree(o.ctx, lease.NewRunner(o.Client, nil), second))
		}
	}
}

// holdsAll checks that nothing is lost and everything is where it belongs. Some may be there twice.
func (o *office) holdsAll(layout *cluster.Layout, want map[string]int, msg string) {
	o.t.Helper()
	found := o.found(layout)
	for stream, times := range want {
		require.GreaterOrEqual(o.t, found[stream], times, "%.40s, %s", stream, msg)
	}
	require.Len(o.t, found, len(want), msg)
}

// An operator deletes a service and stands still, wherever; another one keeps what is left meanwhile. When the first one
// goes on it deletes nothing more, of whatever kind.
func TestDeletionThatWasGivenUpDeletesNothingMore(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 3)
	for _, number := range []int{3, 2} {
		for n := 1; ; n += 2 {
			o.Do("FLUSHALL")
			o.layout = layoutOf(t, 3)
			require.NoError(t, o.leases.Agree(o.ctx))
			o.furnish(1)
			var kept map[string]int
			var keys []string
			i, at := o.overtaken(n, func() {
				_, err := o.inspector().Repartition(o.ctx, number, nil)
				require.NoError(t, err)
				kept, keys = o.found(layoutOf(t, number)), o.keys()
			})
			_, err := i.DeleteService(o.ctx, nil)
			msg := fmt.Sprintf("to %d, overtaken before step %d, %s", number, n, *at)
			if *at == "" {
				require.NoError(t, err)
				require.Greater(t, n, 10)
				break
			}
			if *at == "stop" {
				require.NoError(t, err, msg)
				require.Zero(t, o.Num("DBSIZE"), msg)
				continue
			}
			require.ErrorIs(t, err, scan.ErrTakenOver, msg)
			require.Equal(t, keys, o.keys(), msg)
			require.Equal(t, kept, o.found(layoutOf(t, number)), msg)
		}
	}
}

// A service that somebody deleted while another one stood still has no more than what that one copies then, and a survey
// tells of it.
func TestDeletedWhileItIsRepartitioned(t *testing.T) {
	o := newOffice(t, 2)
	for n := 2; ; n += stepTwo {
		o.Do("FLUSHALL")
		require.NoError(t, o.leases.Agree(o.ctx))
		o.furnish(1)
		i, at := o.overtaken(n, func() {
			_, err := o.inspector().DeleteService(o.ctx, nil)
			require.NoError(t, err)
			require.Empty(t, o.keys())
		})
		_, err := i.Repartition(o.ctx, 4, nil)
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
		require.Len(t, o.survey().Total().Keys, len(o.keys()), "%s: %q", *at, o.keys())
		_, err = o.inspector().DeleteService(o.ctx, nil)
		require.NoError(t, err)
		require.Empty(t, o.keys())
	}
}

// The last call of somebody who was overtaken arrives late and takes a partition's mark away: whoever overtook goes on all
// the same, and loses nothing.
func TestMarkThatIsTakenAwayMeanwhile(t *testing.T) {
	for _, to := range []int{0, 1, 5} {
		o := newOffice(t, 3)
		want := o.furnish(2)
		times := 0
		client := &flaky{Client: o.Client, before: func(name string) error {
			if name != "moved" && name != "unlink" {
				return nil
			}
			if times++; times%2 == 1 {
				for p := range 3 {
					o.Do("SET", o.layout.Keys(p).Recover("!operation"), "whoever")
				}
			}
			return nil
		}}
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
		require.NoError(t, err)
		if to == 0 {
			_, err = i.DeleteService(o.ctx, nil)
		} else {
			_, err = i.Repartition(o.ctx, to, nil)
		}
		require.NoError(t, err, "to %d", to)
		for p := range 5 {
			mark := layoutOf(t, 5).Keys(p).Recover("!operation")
			if o.Text("GET", mark) == "whoever" { // which ends by itself
				o.Do("DEL", mark)
			}
		}
		if to == 0 {
			require.Empty(t, o.keys())
			continue
		}
		require.Equal(t, want, o.found(layoutOf(t, to)))
		for _, key := range o.keys() {
			require.NotContains(t, key, "!operation")
		}
	}
}

// A full server is a reason to delete something.
func TestDeletionOnAFullServer(t *testing.T) {
	o := newOffice(t, 3)
	o.furnish(2)
	o.Do("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	_, err := o.inspector().DeleteService(o.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, o.keys())
}

// A consumer started, took something, and was gone again between the look and the record. Its tokens count: it may have minted
// greater ones than anybody before, on a server whose clock is ahead.
func TestTokensThatAreMintedMeanwhileCount(t *testing.T) {
	for _, to := range []int{1, 2, 5} {
		o := newOffice(t, 3)
		o.furnish(1)
		i, at := o.overtaken(1, func() { o.Do("SET", o.layout.Keys(2).Token, manyTokens) })
		_, err := i.Repartition(o.ctx, to, nil)
		require.NoError(t, err)
		require.Equal(t, "stop", *at)
		o.tokensAre(layoutOf(t, to), manyTokens, "to "+strconv.Itoa(to))
	}
}

// stepTwo is how many steps are left out between those at which one is overtaken. Each takes some 50 ms.
const stepTwo = 11

// Two do it at once: one of them goes on, the other one stops and says so.
func TestTakenOver(t *testing.T) {
	o := newOffice(t, 3)
	want := o.furnish(3)
	once := false
	client := &flaky{Client: o.Client, after: func(script string) error {
		if script == "moved" && !once {
			once = true
			_, err := o.inspector().Repartition(o.ctx, 5, nil)
			require.NoError(t, err)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(t, err)
	_, err = i.Repartition(o.ctx, 5, nil)
	require.ErrorIs(t, err, scan.ErrTakenOver)
	found := o.found(layoutOf(t, 5))
	for stream, times := range want {
		require.Equal(t, times, found[stream], "%.40s", stream)
	}
	require.Len(t, found, len(want))
}
