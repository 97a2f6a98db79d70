package lease

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

func checkDisagreement(t *testing.T, w *world) {
	t.Helper()
	four, err := cluster.NewLayout(w.layout.Service(), 4)
	require.NoError(t, err)
	err = NewStore(four, w.set, w.Client, w.Client, nil).Agree(w.ctx)
	require.ErrorIs(t, err, api.ErrPartitionMismatch)
	require.ErrorContains(t, err, "WithPartitions(1)")
	w.Do("HSET", w.layout.Meta(), "format", "2")
	require.ErrorIs(t, w.store.Agree(w.ctx), api.ErrFormat)
	w.Do("DEL", w.layout.Meta())
	w.Do("SET", w.layout.Meta(), "x")
	require.ErrorContains(t, w.store.Agree(w.ctx), "delete or rename")
}
