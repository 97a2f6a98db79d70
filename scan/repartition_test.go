package scan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Whether there are more or fewer partitions, nothing is lost or duplicated, counts stay, what is delayed stays so, and tokens
// keep rising.
func TestRepartition(t *testing.T) {
	f := newFleet(t, 1)
	want := f.populate(12)
	f.Do("SET", f.layout.Keys(0).Token, "9007199254740000")
	for _, n := range []int{4, 16, 3, 3, 1} {
		layout := layoutOf(t, n)
		var last scan.Progress
		moved, err := f.inspector().Repartition(f.ctx, n, func(p scan.Progress) { last = p })
		require.NoError(t, err)
		require.Equal(t, want, f.found(layout))
		require.Equal(t, moved, last.Moved)
		require.Equal(t, n == f.layout.Partitions(), moved == 0, "%d to %d", f.layout.Partitions(), n)
		require.NoError(t, lease.Agree(f.ctx, lease.NewRunner(f.Client, nil), layout))
		for p := range n {
			require.Equal(t, "9007199254740000", f.Text("GET", layout.Keys(p).Token))
		}
		for _, key := range f.keys() {
			for p := n; p < 16; p++ {
				k := layoutOf(t, 16).Keys(p)
				require.False(t, key == k.Input || strings.HasPrefix(key, "{"+k.Input+"}"), "%s is left of %d partitions", key, n)
			}
		}
		require.Equal(t, 2, f.Num("HLEN", layout.Meta()))
		f.layout = layout
	}
}

// A repartitioning that is interrupted at any point loses nothing. Running it again finishes it, and with the old number undoes
// it.
func TestRepartitionInterrupted(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	for _, way := range []struct {
		to, then int
		lost     bool
	}{{5, 5, false}, {2, 2, true}, {2, 3, false}, {5, 3, true}} {
		for n := 1; ; n += 11 {
			f.Do("FLUSHALL")
			f.layout = layoutOf(t, 3)
			require.NoError(t, f.leases.Agree(f.ctx))
			want := f.populate(1)
			client, _ := f.flakyAt(n, way.lost)
			i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
			require.NoError(t, err)
			_, err = i.Repartition(f.ctx, way.to, nil)
			if err == nil {
				require.Greater(t, n, 10)
				require.Equal(t, want, f.found(layoutOf(t, way.to)))
				break
			}
			require.ErrorIs(t, err, errFlaky)
			_, err = f.inspector().Repartition(f.ctx, way.then, nil)
			require.NoError(t, err)
			layout := layoutOf(t, way.then)
			found := f.found(layout)
			for stream, times := range want {
				require.GreaterOrEqual(t, found[stream], times, "step %d of %+v: %.40s", n, way, stream)
			}
			require.Len(t, found, len(want))
			require.NoError(t, lease.Agree(f.ctx, lease.NewRunner(f.Client, nil), layout))
		}
	}
}

// A producer announced with a greater number than the service has, so nobody reads it; repartitioning to the number that the
// service has moves it to where it belongs.
func TestLeftoversBeyondTheNumberOfPartitions(t *testing.T) {
	f := newFleet(t, 2)
	stranded := layoutOf(t, 900)
	for n := range 50 {
		s := fmt.Sprintf("stranded-%d", n)
		text, err := lease.EncodeAnnouncement(s, nil)
		require.NoError(t, err)
		f.add(stranded.Keys(stranded.Of(s)).Input, lease.FieldAnnouncement, text)
	}
	left, err := f.inspector().Leftovers(f.ctx)
	require.NoError(t, err)
	require.Greater(t, len(left), 30)
	_, err = f.inspector().Repartition(f.ctx, 2, nil)
	require.NoError(t, err)
	require.Len(t, f.found(f.layout), 50)
	left, err = f.inspector().Leftovers(f.ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What cannot be parsed stays, or moves to a partition that is read.
func TestRepartitionKeepsWhatCannotBeRead(t *testing.T) {
	f := newFleet(t, 3)
	for p := range 3 {
		k := f.layout.Keys(p)
		f.add(k.Input, "lbs-input", "not JSON")
		f.add(k.Input, "_reason", "ours alone")
		f.add(k.Input, "lbs-input", "first", "lbs-input", `{"DataStreamName":"second"}`)
		f.add(k.DeadLetters, "whose", "ever")
		f.Do("ZADD", k.Later, "4000000000000", fmt.Sprintf("no msgpack %d", p))
	}
	_, err := f.inspector().Repartition(f.ctx, 2, nil)
	require.NoError(t, err)
	k0, k1 := f.layout.Keys(0), f.layout.Keys(1)
	require.Equal(t, 9, f.Num("XLEN", k0.Input)+f.Num("XLEN", k1.Input))
	require.Equal(t, 3, f.Num("XLEN", k1.Input))
	require.Equal(t, 3, f.Num("XLEN", k0.DeadLetters)+f.Num("XLEN", k1.DeadLetters))
	require.Equal(t, 3, f.Num("ZCARD", k0.Later)+f.Num("ZCARD", k1.Later))
	require.Zero(t, f.Num("EXISTS", f.layout.Keys(2).Input, f.layout.Keys(2).Later, f.layout.Keys(2).DeadLetters))
}

// A dead letter that referred to an entry no longer does so after it moved: the entry moved, too, and got another ID.
func TestRepartitionAnnouncesWhatLettersReferTo(t *testing.T) {
	f := newFleet(t, 1)
	f.refer(lease.FieldAnnouncement, `{"DataStreamName":"large"}`, "weighs", strings.Repeat("much", 5000))
	f.endSessions()
	f.Do("SET", f.layout.Keys(0).Recover("!1-1"), "1")        // an entry was announced from memory
	f.Do("SET", f.layout.Keys(0).Copied(1, "worker.1"), "1 ") // and some were forwarded
	_, err := f.inspector().Repartition(f.ctx, 8, nil)
	require.NoError(t, err)
	layout := layoutOf(t, 8)
	home := layout.Of("large")
	require.NotZero(t, home, "it is to move")
	require.Equal(t, 1, f.Num("XLEN", layout.Keys(home).Input))
	letters := collect(t, f.inspector(), scan.Selection{Stream: "large"})
	require.Len(t, letters, 1)
	require.Equal(t, home, letters[0].Partition)
	require.Empty(t, letters[0].Reference)
}

// Keys of a later version would be lost, or left behind, so nothing is begun.
func TestRepartitionRefusesWhatItDoesNotKnow(t *testing.T) {
	f := newFleet(t, 2)
	f.Do("HSET", "{shop-input-1}:of-tomorrow", "sx", "1")
	_, err := f.inspector().Repartition(f.ctx, 1, nil)
	require.ErrorIs(t, err, api.ErrFormat)
	require.ErrorContains(t, err, "{shop-input-1}:of-tomorrow")
	require.NoError(t, f.leases.Agree(f.ctx))

	_, err = f.inspector().Repartition(f.ctx, 1025, nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	f.Do("FLUSHALL")
	_, err = f.inspector().Repartition(f.ctx, 2, nil)
	require.ErrorIs(t, err, scan.ErrUnknownService)
	f.Do("HSET", f.layout.Meta(), "format", "99", "partitions", "2")
	_, err = f.inspector().Repartition(f.ctx, 2, nil)
	require.ErrorIs(t, err, api.ErrFormat)
	_, err = f.inspector().DeleteService(f.ctx, nil)
	require.ErrorIs(t, err, api.ErrFormat)
}

// A producer keeps announcing to a partition that is to be removed: none of it is lost.
func TestAnnouncedWhileItIsRepartitioned(t *testing.T) {
	f := newFleet(t, 3)
	want := f.populate(2)
	n := 0
	client := &flaky{Client: f.Client, before: func(script string) error {
		if script == "census" && n < 3 {
			n++
			s := fmt.Sprintf("late-%d", n)
			want[s]++
			f.announce(2, s)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Repartition(f.ctx, 1, nil)
	require.NoError(t, err)
	require.Equal(t, want, f.found(layoutOf(t, 1)))
}

// A repartitioning takes the later one of two checkpoints of a stream, wherever it is.
func TestRepartitionKeepsTheLaterCheckpoint(t *testing.T) {
	f := newFleet(t, 1)
	f.populate(1)
	two := layoutOf(t, 2)
	var here string
	for n := 0; two.Of(here) != 1; n++ {
		here = fmt.Sprint("s", n)
	}
	for _, c := range []struct{ from, left, want string }{
		{"7 v new", "6 v old", "7 v new"}, {"7 v old", "8 d1 new", "8 d1 new"}, {"7 v x", "7 v x", "7 v x"}, {"7 v x", "7 new x", "7 new x"},
		{"7 new x", "8 v x", "8 v x"}, {"9 new x", "8 v x", "9 new x"}, {"9 v x", "x", "x"}, {"x", "1 v x", "1 v x"},
	} {
		f.Do("HSET", f.layout.Keys(0).Checkpoints, "s"+here, c.from)
		f.Do("HSET", two.Keys(1).Checkpoints, "s"+here, c.left)
		_, err := f.inspector().Repartition(f.ctx, 2, nil)
		require.NoError(t, err)
		require.Equal(t, c.want, f.Text("HGET", two.Keys(1).Checkpoints, "s"+here), "%+v", c)
		require.Zero(t, f.Num("HEXISTS", two.Keys(0).Checkpoints, "s"+here))
		_, err = f.inspector().Repartition(f.ctx, 1, nil)
		require.NoError(t, err)
	}
}

// How consumers that are gone shared the streams is nothing to those that come next, in whatever partition; what operators wish is asked
// of them, too.
func TestRepartitionForgetsTheFleetAndKeepsWishes(t *testing.T) {
	f := newFleet(t, 4)
	f.populate(1)
	f.Do("HSET", layoutOf(t, 1024).Keys(700).Books, "joins", "1") // of an operation that was undone
	total := f.survey().Total()
	require.Len(t, slices.DeleteFunc(total.Keys, func(k scan.Key) bool { return !balances(k.Name) }), 4*3+1+1)
	for _, n := range []int{4, 2, 6} {
		_, err := f.inspector().Repartition(f.ctx, n, nil)
		require.NoError(t, err)
		require.Equal(t, []string{f.layout.Wishes()}, slices.DeleteFunc(f.keys(), func(name string) bool { return !balances(name) }))
		f.Do("HSET", f.layout.Keys(1).Books, "joins", "1")
	}
	require.Empty(t, f.survey().Unknown)
	_, err := f.inspector().DeleteService(f.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, f.keys())
}

// balances reports whether a key is for the balance of a fleet.
func balances(name string) bool {
	_, kind, _ := strings.Cut(name, "}:")
	return slices.Contains([]string{"books", "load", "fleet", "wishes"}, kind)
}
