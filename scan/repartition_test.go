package scan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// Up and down, nothing is lost or doubled, counts stay, what is due later stays so, and tokens go on rising.
func TestRepartition(t *testing.T) {
	o := newOffice(t, 1)
	want := o.furnish(12)
	o.Do("SET", o.layout.Keys(0).Token, "9007199254740000")
	for _, n := range []int{4, 16, 3, 3, 1} {
		layout := layoutOf(t, n)
		var last scan.Progress
		moved, err := o.inspector().Repartition(o.ctx, n, func(p scan.Progress) { last = p })
		require.NoError(t, err)
		require.Equal(t, want, o.found(layout))
		require.Equal(t, moved, last.Moved)
		require.Equal(t, n == o.layout.Partitions(), moved == 0, "%d to %d", o.layout.Partitions(), n)
		require.NoError(t, lease.Agree(o.ctx, lease.NewRunner(o.Client, nil), layout))
		for p := range n {
			require.Equal(t, "9007199254740000", o.Text("GET", layout.Keys(p).Token))
		}
		for _, key := range o.keys() {
			for p := n; p < 16; p++ {
				k := layoutOf(t, 16).Keys(p)
				require.False(t, key == k.Input || strings.HasPrefix(key, "{"+k.Input+"}"), "%s is left of %d partitions", key, n)
			}
		}
		require.Equal(t, 2, o.Num("HLEN", layout.Meta()))
		o.layout = layout
	}
}

// A repartitioning that is interrupted, wherever, loses nothing. Doing it again finishes it, and with the old number undoes it.
func TestRepartitionInterrupted(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 3)
	for _, way := range []struct {
		to, then int
		lost     bool
	}{{5, 5, false}, {2, 2, true}, {2, 3, false}, {5, 3, true}} {
		for n := 1; ; n += 11 {
			o.Do("FLUSHALL")
			o.layout = layoutOf(t, 3)
			require.NoError(t, o.leases.Agree(o.ctx))
			want := o.furnish(1)
			client, _ := o.flakyAt(n, way.lost)
			i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
			require.NoError(t, err)
			_, err = i.Repartition(o.ctx, way.to, nil)
			if err == nil {
				require.Greater(t, n, 10)
				require.Equal(t, want, o.found(layoutOf(t, way.to)))
				break
			}
			require.ErrorIs(t, err, errFlaky)
			_, err = o.inspector().Repartition(o.ctx, way.then, nil)
			require.NoError(t, err)
			layout := layoutOf(t, way.then)
			found := o.found(layout)
			for stream, times := range want {
				require.GreaterOrEqual(t, found[stream], times, "step %d of %+v: %.40s", n, way, stream)
			}
			require.Len(t, found, len(want))
			require.NoError(t, lease.Agree(o.ctx, lease.NewRunner(o.Client, nil), layout))
		}
	}
}

// Somebody announced with a greater number than the service has, so nobody reads it; repartitioning to the number that it
// has brings it home.
func TestLeftoversBeyondTheNumberOfPartitions(t *testing.T) {
	o := newOffice(t, 2)
	stranded := layoutOf(t, 900)
	for n := range 50 {
		s := fmt.Sprintf("stranded-%d", n)
		text, err := lease.EncodeAnnouncement(s, nil)
		require.NoError(t, err)
		o.add(stranded.Keys(stranded.Of(s)).Input, lease.FieldAnnouncement, text)
	}
	left, err := o.inspector().Leftovers(o.ctx)
	require.NoError(t, err)
	require.Greater(t, len(left), 30)
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.NoError(t, err)
	require.Len(t, o.found(o.layout), 50)
	left, err = o.inspector().Leftovers(o.ctx)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What cannot be read stays, or goes where somebody reads it.
func TestRepartitionKeepsWhatCannotBeRead(t *testing.T) {
	o := newOffice(t, 3)
	for p := range 3 {
		k := o.layout.Keys(p)
		o.add(k.Input, "lbs-input", "not JSON")
		o.add(k.Input, "_reason", "ours alone")
		o.add(k.Input, "lbs-input", "first", "lbs-input", `{"DataStreamName":"second"}`)
		o.add(k.DeadLetters, "whose", "ever")
		o.Do("ZADD", k.Later, "4000000000000", fmt.Sprintf("no msgpack %d", p))
	}
	_, err := o.inspector().Repartition(o.ctx, 2, nil)
	require.NoError(t, err)
	k0, k1 := o.layout.Keys(0), o.layout.Keys(1)
	require.Equal(t, 9, o.Num("XLEN", k0.Input)+o.Num("XLEN", k1.Input))
	require.Equal(t, 3, o.Num("XLEN", k1.Input))
	require.Equal(t, 3, o.Num("XLEN", k0.DeadLetters)+o.Num("XLEN", k1.DeadLetters))
	require.Equal(t, 3, o.Num("ZCARD", k0.Later)+o.Num("ZCARD", k1.Later))
	require.Zero(t, o.Num("EXISTS", o.layout.Keys(2).Input, o.layout.Keys(2).Later, o.layout.Keys(2).DeadLetters))
}

// A dead letter that referred to an entry does so no more where it went: the entry was announced again, under another ID.
func TestRepartitionAnnouncesWhatLettersReferTo(t *testing.T) {
	o := newOffice(t, 1)
	o.refer(lease.FieldAnnouncement, `{"DataStreamName":"large"}`, "weighs", strings.Repeat("much", 5000))
	o.stop()
	o.Do("SET", o.layout.Keys(0).Recover("!1-1"), "1")            // an entry was announced from memory
	o.Do("SET", o.layout.Keys(0).Copied(1, "undertaker.1"), "1 ") // and some were forwarded
	_, err := o.inspector().Repartition(o.ctx, 8, nil)
	require.NoError(t, err)
	layout := layoutOf(t, 8)
	home := layout.Of("large")
	require.NotZero(t, home, "it is to move")
	require.Equal(t, 1, o.Num("XLEN", layout.Keys(home).Input))
	letters := collect(t, o.inspector(), scan.Selection{Stream: "large"})
	require.Len(t, letters, 1)
	require.Equal(t, home, letters[0].Partition)
	require.Empty(t, letters[0].Reference)
}

// Keys of a later version would be lost, or left behind: nothing is begun.
func TestRepartitionRefusesWhatItDoesNotKnow(t *testing.T) {
	o := newOffice(t, 2)
	o.Do("HSET", "{shop-input-1}:checkpoints", "sx", "1")
	_, err := o.inspector().Repartition(o.ctx, 1, nil)
	require.ErrorIs(t, err, api.ErrFormat)
	require.ErrorContains(t, err, "{shop-input-1}:checkpoints")
	require.NoError(t, o.leases.Agree(o.ctx))

	_, err = o.inspector().Repartition(o.ctx, 1025, nil)
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	o.Do("FLUSHALL")
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.ErrorIs(t, err, scan.ErrUnknownService)
	o.Do("HSET", o.layout.Meta(), "format", "99", "partitions", "2")
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.ErrorIs(t, err, api.ErrFormat)
	_, err = o.inspector().DeleteService(o.ctx, nil)
	require.ErrorIs(t, err, api.ErrFormat)
}

// A producer goes on announcing to a partition that is to go: nothing of it is lost.
func TestAnnouncedWhileItIsRepartitioned(t *testing.T) {
	o := newOffice(t, 3)
	want := o.furnish(2)
	n := 0
	client := &flaky{Client: o.Client, before: func(script string) error {
		if script == "census" && n < 3 {
			n++
			s := fmt.Sprintf("late-%d", n)
			want[s]++
			o.announce(2, s)
		}
		return nil
	}}
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{})
	require.NoError(t, err)
	_, err = i.Repartition(o.ctx, 1, nil)
	require.NoError(t, err)
	require.Equal(t, want, o.found(layoutOf(t, 1)))
}
