package faults

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
)

// forget makes the next beat of a member find its session gone, after which the member checks whether the service is still what
// it was. It would do so within half a minute anyway.
func (h *harness) forget(m *member) {
	h.T.Helper()
	h.Do("ZREM", h.keys.Sessions, m.engine.ID())
}

// Trace: somebody deletes the record of the service, a forgotten process keeps running, and a new one starts with another number
// of partitions: 195 streams had two owners. Now the new one waits until the old one has written the record again, and is
// refused.
func TestRecordDeletedWhileAnOldProcessRuns(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 20)
	leases := a.given()
	h.Do("DEL", h.layout.Meta())
	b := h.join("b", h.server.ClientOption(), engine.WithPartitions(4))
	h.eventually(func() bool { return b.log.Has("waiting for those who know it") }, "b to wait")
	require.Zero(t, h.Num("EXISTS", h.layout.Meta()))
	// Its session has to stay, or nobody would be alive; a missing group makes it open the partition again.
	h.Do("XGROUP", "DESTROY", h.keys.Input, h.layout.Group())
	h.eventually(func() bool { return h.Text("HGET", h.layout.Meta(), "partitions") == "1" }, "a to write the record")
	<-b.ended
	require.ErrorIs(t, b.err, api.ErrPartitionMismatch)
	require.Empty(t, b.disowned)
	requireHeld(t, a, leases)
	h.finishTwice(names(20)...)
}

// Trace: the record is changed under a running engine, as an earlier version may do that finds no record. The engine disowns and
// requeues everything and is not ready; what it owned is free for engines that agree with the record.
func TestRecordChangedWhileRunning(t *testing.T) {
	for name, tc := range map[string]struct {
		fields []string
		is     error
	}{
		"number": {[]string{"partitions", "4"}, api.ErrPartitionMismatch},
		"format": {[]string{"format", "2"}, api.ErrFormat},
		"state":  {[]string{"format", "1-deleting", "state", "deleting"}, api.ErrServiceStopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, a := newHolding(t, 5)
			leases := a.given()
			h.Do(append([]string{"HSET", h.layout.Meta()}, tc.fields...)...)
			h.forget(a)
			for _, l := range leases {
				h.awaitDisowned(a, l)
				told, _ := a.disowning(l)
				require.ErrorIs(t, told.why, tc.is)
				require.ErrorIs(t, told.why, api.ErrLeaseLost)
			}
			require.ErrorIs(t, a.ready(), tc.is)
			require.ErrorIs(t, a.ready(), api.ErrNotReady)
			h.eventually(func() bool { return a.saw(api.EventDisagreed) }, "the event")
			h.eventually(func() bool { return h.Num("EVAL", pendingScript, "1", h.keys.Input, h.layout.Group()) == 0 }, "everything to be requeued")
			require.EqualValues(t, 5, h.Num("XLEN", h.keys.Input))
			require.NoError(t, a.stop())

			h.Do("DEL", h.layout.Meta())
			h.join("b", h.server.ClientOption())
			h.awaitOwned(names(5)...)
			h.finish(names(5)...)
		})
	}
}

const pendingScript = `return redis.call('XPENDING', KEYS[1], ARGV[1])[1]`

// Trace: a running service cannot be repartitioned. It is stopped and repartitioned, up and down. Each time engines with the new
// number own everything, and those with the old one are refused.
func TestRepartitionedServiceIsOwned(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 50)
	i, err := scan.NewInspector(h.Client, service, scan.InspectorConfig{})
	require.NoError(t, err)
	ctx := context.Background()
	_, err = i.Repartition(ctx, 4, nil)
	require.ErrorIs(t, err, scan.ErrServiceRunning)
	h.requireCalm()
	require.Len(t, a.held(), 50)
	tokens := make(map[string]api.Token)
	for s, l := range a.given() {
		tokens[s] = l.Token()
	}
	require.NoError(t, a.stop())
	for _, n := range []int{4, 3} {
		_, err = i.Repartition(ctx, n, nil)
		require.NoError(t, err)
		require.ErrorIs(t, h.runToEnd(h.server.ClientOption()), api.ErrPartitionMismatch)
		m := h.join("p", h.server.ClientOption(), engine.WithPartitions(n))
		h.awaitOwned(names(50)...)
		for s, l := range m.given() {
			require.Greater(t, l.Token(), tokens[s])
			tokens[s] = l.Token()
		}
		require.NoError(t, m.ready())
		require.NoError(t, m.stop())
	}
	layout, err := cluster.NewLayout(service, 3)
	require.NoError(t, err)
	_, err = i.DeleteService(ctx, nil)
	require.NoError(t, err)
	require.Zero(t, h.Num("DBSIZE"), "%v of %s", h.allKeys(), layout.Service())
	h.checkOwners()
}
