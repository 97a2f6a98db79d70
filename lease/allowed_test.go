package lease

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckpointsAllowed(t *testing.T) {
	w := newHarness(t)
	require.NoError(t, w.store.CheckpointsAllowed(w.ctx, 0))
	require.EqualValues(t, 0, w.Num("EXISTS", w.keys.Checkpoints), "it changes nothing")
	w.Do("HSET", w.keys.Checkpoints, "ss", "1 v x")
	require.NoError(t, w.store.CheckpointsAllowed(w.ctx, 0))
	require.EqualValues(t, 1, w.Num("HLEN", w.keys.Checkpoints))
	for _, command := range []string{"hset", "hmget", "hdel", "hscan"} {
		w.Do("ACL", "SETUSER", "default", "-"+command)
		err := w.store.CheckpointsAllowed(w.ctx, 0)
		w.Do("ACL", "SETUSER", "default", "+"+command)
		require.True(t, LacksRight(err), "%s: %v", command, err)
	}
	w.Do("DEL", w.keys.Checkpoints)
	w.Do("SET", w.keys.Checkpoints, "x")
	code, _ := Refusal(w.store.CheckpointsAllowed(w.ctx, 0))
	require.Equal(t, "WRONGTYPE", code)
}
