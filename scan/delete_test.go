package scan_test

import (
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// A stopped service goes without a trace, and its neighbours stay. What will go is said before.
func TestDeleteService(t *testing.T) {
	o := newOffice(t, 4)
	neighbours := []string{"shop-input-x", "{shop-input-x}:lease:s", "{shop-input-1-input}:sessions", "{shop-input-01}:later", "shop-inputs",
		"{shop-input-2048}:later", "shop"}
	for _, key := range neighbours {
		o.Do("SET", key, "x")
	}
	o.furnish(5)
	o.Do("XADD", "shop-input-700", "*", "f", "v") // announced with another number
	o.Do("SET", "{shop-input-3}:lease:orphan", "nobody.1 1 1-1")
	o.Do("SET", "{shop-input-3}:recover:dead.3", "x")
	o.Do("HSET", "{shop-input-2}:checkpoints", "sx", "1")
	before := o.keys()
	s := o.survey()
	require.Equal(t, 4, s.Partitions)
	require.Len(t, s.Contents, 5)
	total := s.Total()
	require.Equal(t, 4*10+1+1+1, total.Announcements)
	require.Equal(t, 20, total.Later)
	require.Equal(t, 20, total.DeadLetters)
	require.Positive(t, total.Pending)
	require.Positive(t, total.Leases)
	require.Zero(t, total.Alive)
	require.Equal(t, []string{"{shop-input-2}:checkpoints"}, s.Unknown)
	for _, k := range total.Keys {
		require.Contains(t, before, k.Name)
		require.NotEqual(t, "none", k.Type)
	}
	require.Equal(t, before, o.keys(), "a survey changes nothing")

	var last scan.Progress
	deleted, err := o.inspector().DeleteService(o.ctx, func(p scan.Progress) { last = p })
	require.NoError(t, err)
	sort.Strings(neighbours)
	require.Equal(t, neighbours, o.keys())
	require.Equal(t, len(before)-len(neighbours), deleted)
	require.Equal(t, deleted, last.Deleted)

	_, err = o.inspector().DeleteService(o.ctx, nil)
	require.NoError(t, err, "of nothing")
	require.Equal(t, neighbours, o.keys())
	require.NoError(t, o.leases.Agree(o.ctx), "it may be made again")
}

// A deletion that is interrupted, wherever, is finished by doing it again; meanwhile nobody starts to work with what is left.
func TestDeletionInterrupted(t *testing.T) {
	o := newOffice(t, 3)
	for n := 1; ; n += 3 {
		require.NoError(t, o.leases.Agree(o.ctx))
		o.furnish(1)
		client, _ := o.flakyAt(n, n%2 == 0)
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
		require.NoError(t, err)
		_, err = i.DeleteService(o.ctx, nil)
		if err == nil {
			require.GreaterOrEqual(t, n, 10)
			break
		}
		require.ErrorIs(t, err, errFlaky)
		if n > 1 && o.Num("EXISTS", o.layout.Meta()) == 1 {
			require.ErrorIs(t, o.leases.Agree(o.ctx), api.ErrServiceStopped)
			_, err = o.inspector().Partitions(o.ctx)
			require.ErrorIs(t, err, api.ErrServiceStopped)
		}
		_, err = o.inspector().DeleteService(o.ctx, nil)
		require.NoError(t, err)
		require.Zero(t, o.Num("DBSIZE"), "after step %d: %q", n, o.keys())
	}
}

// A deletion that was begun is given up: what is left is kept.
func TestWhatIsLeftOfADeletionIsKept(t *testing.T) {
	o := newOffice(t, 2)
	want := o.furnish(2)
	client, _ := o.flakyAt(2, false)
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(t, err)
	_, err = i.DeleteService(o.ctx, nil)
	require.ErrorIs(t, err, errFlaky)
	_, err = o.inspector().Repartition(o.ctx, 2, nil)
	require.NoError(t, err)
	require.Equal(t, want, o.found(o.layout))
	require.NoError(t, o.leases.Agree(o.ctx))
}
