package scan_test

import (
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// A stopped service is deleted without a trace, and its neighbours stay. The survey shows beforehand what will go.
func TestDeleteService(t *testing.T) {
	f := newFleet(t, 4)
	neighbours := []string{"shop-input-x", "{shop-input-x}:lease:s", "{shop-input-1-input}:sessions", "{shop-input-01}:later", "shop-inputs",
		"{shop-input-2048}:later", "shop"}
	for _, key := range neighbours {
		f.Do("SET", key, "x")
	}
	f.populate(5)
	f.Do("XADD", "shop-input-700", "*", "f", "v") // announced with another number
	f.Do("SET", "{shop-input-3}:lease:orphan", "nobody.1 1 1-1")
	f.Do("SET", "{shop-input-3}:recover:dead.3", "x")
	f.Do("SET", "{shop-input-3}:crashed:dead", "1")
	f.Do("HSET", "{shop-input-2}:of-tomorrow", "sx", "1")
	before := f.keys()
	s := f.survey()
	require.Equal(t, 4, s.Partitions)
	require.Len(t, s.Contents, 5)
	total := s.Total()
	require.Equal(t, 4*10+1+1+1, total.Announcements)
	require.Equal(t, 20, total.Later)
	require.Equal(t, 20, total.DeadLetters)
	require.Equal(t, 20, total.Schedules)
	require.Positive(t, total.Pending)
	require.Positive(t, total.Leases)
	require.Zero(t, total.Alive)
	require.Equal(t, []string{"{shop-input-2}:of-tomorrow"}, s.Unknown)
	for _, k := range total.Keys {
		require.Contains(t, before, k.Name)
		require.NotEqual(t, "none", k.Type)
	}
	require.Equal(t, before, f.keys(), "a survey changes nothing")

	var last scan.Progress
	deleted, err := f.inspector().DeleteService(f.ctx, func(p scan.Progress) { last = p })
	require.NoError(t, err)
	sort.Strings(neighbours)
	require.Equal(t, neighbours, f.keys())
	require.Equal(t, len(before)-len(neighbours), deleted)
	require.Equal(t, deleted, last.Deleted)

	_, err = f.inspector().DeleteService(f.ctx, nil)
	require.NoError(t, err, "of nothing")
	require.Equal(t, neighbours, f.keys())
	require.NoError(t, f.leases.Agree(f.ctx), "it may be made again")
}

// A deletion that is interrupted at any point is finished by running it again; until then nobody starts to work with what is
// left.
func TestDeletionInterrupted(t *testing.T) {
	f := newFleet(t, 3)
	for n := 1; ; n += 3 {
		require.NoError(t, f.leases.Agree(f.ctx))
		f.populate(1)
		client, _ := f.flakyAt(n, n%2 == 0)
		i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
		require.NoError(t, err)
		_, err = i.DeleteService(f.ctx, nil)
		if err == nil {
			require.GreaterOrEqual(t, n, 10)
			break
		}
		require.ErrorIs(t, err, errFlaky)
		if n > 1 && f.Num("EXISTS", f.layout.Meta()) == 1 {
			require.ErrorIs(t, f.leases.Agree(f.ctx), api.ErrServiceStopped)
			_, err = f.inspector().Partitions(f.ctx)
			require.ErrorIs(t, err, api.ErrServiceStopped)
		}
		_, err = f.inspector().DeleteService(f.ctx, nil)
		require.NoError(t, err)
		require.Zero(t, f.Num("DBSIZE"), "after step %d: %q", n, f.keys())
	}
}

// A deletion that was begun is abandoned: what is left is kept.
func TestWhatIsLeftOfADeletionIsKept(t *testing.T) {
	f := newFleet(t, 2)
	want := f.populate(2)
	client, _ := f.flakyAt(2, false)
	i, err := scan.NewInspector(client, "shop", scan.InspectorConfig{Page: 3})
	require.NoError(t, err)
	_, err = i.DeleteService(f.ctx, nil)
	require.ErrorIs(t, err, errFlaky)
	_, err = f.inspector().Repartition(f.ctx, 2, nil)
	require.NoError(t, err)
	require.Equal(t, want, f.found(f.layout))
	require.NoError(t, f.leases.Agree(f.ctx))
}
