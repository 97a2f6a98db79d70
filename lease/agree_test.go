package lease

import (
	"testing"

	"github.com/redis/rueidis"
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

// The record was deleted while members are alive, and a process with another number of partitions starts: it writes
// nothing. A member writes it again, and the other one hears that it differs. It used to write its own number, and 195
// streams had two owners.
func TestWhoIsNewDoesNotWriteTheRecordWhileMembersLive(t *testing.T) {
	w := newWorld(t)
	four, err := cluster.NewLayout(w.layout.Service(), 4)
	require.NoError(t, err)
	other := NewStore(four, w.set, w.Client, w.Client, nil)
	require.NoError(t, w.store.Agree(w.ctx))
	w.open(alice)
	w.Do("DEL", w.layout.Meta())
	for range 2 {
		err = other.Agree(w.ctx)
		require.ErrorIs(t, err, api.ErrNoAgreement)
		require.False(t, Disagrees(err), "it is to wait")
		require.ErrorContains(t, err, "1 consumers")
		require.Zero(t, w.Num("EXISTS", w.layout.Meta()))
	}
	require.ErrorIs(t, NewStore(w.layout, w.set, w.Client, w.Client, nil).Agree(w.ctx), api.ErrNoAgreement, "nobody knows who is right")
	require.NoError(t, w.store.Confirm(w.ctx))
	require.ErrorIs(t, other.Agree(w.ctx), api.ErrPartitionMismatch)

	// Half of the record is no record.
	w.Do("HDEL", w.layout.Meta(), "partitions")
	require.ErrorIs(t, other.Agree(w.ctx), api.ErrNoAgreement)
	require.NoError(t, w.store.Confirm(w.ctx))

	// The dead do not write it, nor do the closed.
	w.Do("DEL", w.layout.Meta())
	w.kill(alice)
	require.NoError(t, other.Agree(w.ctx))
	require.ErrorIs(t, w.store.Confirm(w.ctx), api.ErrPartitionMismatch)
}

// Whoever may not look at sessions, as a publisher with the rights that earlier versions asked for, still agrees.
func TestAgreeWithoutTheRightToSessions(t *testing.T) {
	w := newWorld(t)
	w.open(alice)
	for _, rules := range [][]string{
		{"~" + w.layout.Meta(), "+hmget", "+hsetnx"},
		{"~*", "+hmget", "+hsetnx"},
		{"~*", "+hmget", "+hsetnx", "+time"},
	} {
		w.Do("DEL", w.layout.Meta())
		w.Do(append([]string{"ACL", "SETUSER", "publisher", "reset", "on", ">secret", "+evalsha", "+eval", "+ping"}, rules...)...)
		opt := w.server.ClientOption()
		opt.Username, opt.Password = "publisher", "secret"
		client, err := rueidis.NewClient(opt)
		require.NoError(t, err)
		require.NoError(t, Agree(w.ctx, NewRunner(client, nil), w.layout))
		require.NoError(t, Agree(w.ctx, NewRunner(client, nil), w.layout))
		client.Close()
	}
}

// While a service is deleted or repartitioned nobody works with it, those who look at the format alone included.
func TestStoppedServiceIsRefused(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.store.Agree(w.ctx))
	for state, words := range map[State][]string{
		Deleting:       {"being deleted", "repartition it to 1"},
		Repartitioning: {"from 1 to 4", "to 4 again", "to 1 to undo"},
		"resting":      {"resting", "does not know"},
	} {
		w.Do("HSET", w.layout.Meta(), "format", state.Format(), "state", string(state), "from", "1", "to", "4")
		require.NotEqual(t, "1", w.Text("HGET", w.layout.Meta(), "format"))
		for _, err := range []error{w.store.Agree(w.ctx), w.store.Confirm(w.ctx)} {
			require.ErrorIs(t, err, api.ErrServiceStopped)
			require.True(t, Disagrees(err))
			for _, word := range words {
				require.ErrorContains(t, err, word)
			}
		}
	}
	// A state with a format that is ours, as somebody would leave it who mends the record by hand.
	w.Do("HSET", w.layout.Meta(), "format", "1")
	require.ErrorIs(t, w.store.Agree(w.ctx), api.ErrServiceStopped)
	w.Do("HDEL", w.layout.Meta(), "state")
	require.NoError(t, w.store.Agree(w.ctx))
}
