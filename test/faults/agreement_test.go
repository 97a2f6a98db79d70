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

// forget has a party's next beat find its session gone, after which it asks whether the service is what it was. It would
// within half a minute anyway.
func (w *world) forget(p *party) {
	w.t.Helper()
	w.Do("ZREM", w.keys.Sessions, p.engine.ID())
}

// Trace: somebody deletes the record of the service, a forgotten process goes on, and a new one comes with another number
// of partitions: 195 streams had two owners. Now the new one waits for the old one to write the record again, and is refused.
func TestRecordDeletedWhileAnOldProcessRuns(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 20)
	leases := a.given()
	w.Do("DEL", w.layout.Meta())
	b := w.join("b", w.server.ClientOption(), engine.WithPartitions(4))
	w.eventually(func() bool { return b.logged("waiting for those who know it") }, "b to wait")
	require.Zero(t, w.Num("EXISTS", w.layout.Meta()))
	// Its session has to stay there, or nobody would be alive; a group that is gone makes it open again.
	w.Do("XGROUP", "DESTROY", w.keys.Input, w.layout.Group())
	w.eventually(func() bool { return w.Text("HGET", w.layout.Meta(), "partitions") == "1" }, "a to write the record")
	<-b.ended
	require.ErrorIs(t, b.err, api.ErrPartitionMismatch)
	require.Empty(t, b.disowned)
	stay(t, a, leases)
	w.finishTwice(names(20)...)
}

// Trace: the record is changed under a running engine, as an earlier version may still do that comes to a service without
// one. It disowns everything, is not ready and hands back; what it owned is free for those who have it right.
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
			w, a := holding(t, 5)
			leases := a.given()
			w.Do(append([]string{"HSET", w.layout.Meta()}, tc.fields...)...)
			w.forget(a)
			for _, l := range leases {
				w.awaitTold(a, l)
				told, _ := a.toldOf(l)
				require.ErrorIs(t, told.why, tc.is)
				require.ErrorIs(t, told.why, api.ErrLeaseLost)
			}
			require.ErrorIs(t, a.ready(), tc.is)
			require.ErrorIs(t, a.ready(), api.ErrNotReady)
			w.eventually(func() bool { return a.heard(api.EventDisagreed) }, "the event")
			w.eventually(func() bool { return w.Num("EVAL", pendingScript, "1", w.keys.Input, w.layout.Group()) == 0 }, "all to be handed back")
			require.EqualValues(t, 5, w.Num("XLEN", w.keys.Input))
			require.NoError(t, a.stop())

			w.Do("DEL", w.layout.Meta())
			w.join("b", w.server.ClientOption())
			w.awaitOwned(names(5)...)
			w.finish(names(5)...)
		})
	}
}

const pendingScript = `return redis.call('XPENDING', KEYS[1], ARGV[1])[1]`

// Trace: a running service is not repartitioned. It is stopped, repartitioned up and down, and each time engines with the
// new number own everything, and those with the old one are refused.
func TestRepartitionedServiceIsOwned(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 50)
	i, err := scan.NewInspector(w.Client, service, scan.InspectorConfig{})
	require.NoError(t, err)
	ctx := context.Background()
	_, err = i.Repartition(ctx, 4, nil)
	require.ErrorIs(t, err, scan.ErrServiceRunning)
	w.calm()
	require.Len(t, a.held(), 50)
	tokens := make(map[string]api.Token)
	for s, l := range a.given() {
		tokens[s] = l.Token()
	}
	require.NoError(t, a.stop())
	for _, n := range []int{4, 3} {
		_, err = i.Repartition(ctx, n, nil)
		require.NoError(t, err)
		require.ErrorIs(t, w.runToEnd(w.server.ClientOption()), api.ErrPartitionMismatch)
		p := w.join("p", w.server.ClientOption(), engine.WithPartitions(n))
		w.awaitOwned(names(50)...)
		for s, l := range p.given() {
			require.Greater(t, l.Token(), tokens[s])
			tokens[s] = l.Token()
		}
		require.NoError(t, p.ready())
		require.NoError(t, p.stop())
	}
	layout, err := cluster.NewLayout(service, 3)
	require.NoError(t, err)
	_, err = i.DeleteService(ctx, nil)
	require.NoError(t, err)
	require.Zero(t, w.Num("DBSIZE"), "%v of %s", w.keysThere(), layout.Service())
	w.checkOwners()
}
