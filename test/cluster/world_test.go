package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/servers"
)

// patience is how long a test waits for what must come, on a machine that is busy with other things.
const patience = 60 * time.Second

// partitions is enough for every master to have several, and for more on one master than are renewed there at once.
const partitions = 16

// shared is the cluster that all tests of this package use, one after the other: making one takes seconds.
var shared struct {
	sync.Mutex
	cluster *servers.Cluster
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		return nil
	}
	return shared.cluster.Stop()
}

// world is a cluster with one service on it, and the engines that share it.
type world struct {
	t       testing.TB
	cluster *servers.Cluster
	service string
	layout  *cluster.Layout
	client  rueidis.Client // of the test; no engine runs on it
	clock   overlap.Clock
	all     []*party
	killed  map[*servers.Server]bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		c, err := servers.StartCluster(context.Background(), servers.ClusterOptions{Node: servers.Options{
			Args: []string{
				// A replica whose link was cut for a while may take over all the same.
				"--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no",
				// The others go on while one is down; by default a cluster serves all slots or none.
				"--cluster-require-full-coverage", "no",
			},
		}})
		require.NoError(t, err)
		shared.cluster = c
	}
	w := &world{t: t, cluster: shared.cluster, clock: overlap.NewClock(), killed: make(map[*servers.Server]bool)}
	w.service = strings.ToLower(strings.ReplaceAll(t.Name(), "/", "."))
	layout, err := cluster.NewLayout(w.service, partitions)
	require.NoError(t, err)
	w.layout = layout
	w.heal()
	w.client = w.cluster.Client(t)
	t.Cleanup(func() {
		for _, p := range w.all {
			p.end()
		}
		w.heal()
		if t.Failed() {
			for _, s := range w.cluster.Nodes() {
				t.Logf("log of the node on %s:\n%s", s.Addr(), s.LogTail())
			}
		}
	})
	return w
}

// heal has every node run, and waits until all agree.
func (w *world) heal() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, s := range w.cluster.Nodes() {
		require.NoError(w.t, s.Resume())
		if w.killed[s] {
			require.NoError(w.t, s.Restart(ctx, false))
			delete(w.killed, s)
		}
	}
	require.NoError(w.t, w.cluster.AwaitReady(ctx))
}

// kill ends a node with SIGKILL.
func (w *world) kill(s *servers.Server) {
	w.t.Helper()
	w.killed[s] = true
	require.NoError(w.t, s.Kill())
}

// ctx bounds one step.
func (w *world) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// step runs one thing that is done to the cluster.
func (w *world) step(what string, f func(ctx context.Context) error) {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	began := time.Now()
	require.NoError(w.t, f(ctx), what)
	w.t.Logf("%s: took %v", what, time.Since(began).Round(time.Millisecond))
}

// owner is the master of a partition.
func (w *world) owner(p int) (s *servers.Server) {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	require.NoError(w.t, retry(ctx, func() (err error) {
		s, err = w.cluster.Owner(ctx, w.layout.Keys(p).Slot)
		return err
	}))
	return s
}

// replica is the replica of a master.
func (w *world) replica(master *servers.Server) *servers.Server {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	all, err := w.cluster.Replicas(ctx, master)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, all)
	return all[0]
}

// of are the partitions that a master has, and the others.
func (w *world) of(master *servers.Server) (mine, others []int) {
	w.t.Helper()
	for p := range partitions {
		if w.owner(p) == master {
			mine = append(mine, p)
		} else {
			others = append(others, p)
		}
	}
	require.NotEmpty(w.t, mine)
	require.NotEmpty(w.t, others)
	return mine, others
}

// otherThan is a master other than this one.
func (w *world) otherThan(s *servers.Server) *servers.Server {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	all, err := w.cluster.Masters(ctx)
	require.NoError(w.t, err)
	all = slices.DeleteFunc(all, func(m *servers.Server) bool { return m == s })
	require.NotEmpty(w.t, all)
	return all[0]
}

func retry(ctx context.Context, f func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// names are streams of this test, from one number to before another.
func names(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("s-%d", i))
	}
	return out
}

// in are those of the streams that belong to these partitions.
func (w *world) in(streams []string, where []int) (out []string) {
	for _, s := range streams {
		if slices.Contains(where, w.layout.Of(s)) {
			out = append(out, s)
		}
	}
	return out
}

// announce adds an entry for each stream, as producers do. A command that fails is sent again, so an entry may be there
// twice.
func (w *world) announce(streams ...string) {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	for len(streams) > 0 {
		n := min(len(streams), 1000)
		require.NoError(w.t, retry(ctx, func() error { return w.tryAnnounce(ctx, streams[:n]) }))
		streams = streams[n:]
	}
}

func (w *world) tryAnnounce(ctx context.Context, streams []string) (err error) {
	commands := make(rueidis.Commands, len(streams))
	for i, s := range streams {
		text, encodeErr := lease.EncodeAnnouncement(s, nil)
		require.NoError(w.t, encodeErr)
		commands[i] = w.client.B().Xadd().Key(w.layout.Keys(w.layout.Of(s)).Input).Id("*").
			FieldValue().FieldValue(lease.FieldAnnouncement, string(text)).Build()
	}
	for _, r := range w.client.DoMulti(ctx, commands...) {
		err = errors.Join(err, r.Error())
	}
	return err
}

// eventually waits for a condition.
func (w *world) eventually(ok func() bool, what string, args ...any) {
	w.t.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			w.tell()
			require.FailNow(w.t, "did not come: "+fmt.Sprintf(what, args...))
		}
	}
}

func (w *world) tell() {
	for _, p := range w.all {
		w.t.Logf("%s: %+v, ready: %v", p.name, p.engine.Stats(), p.engine.Ready(context.Background()))
	}
	for p := range partitions {
		k := w.layout.Keys(p)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		length, err := w.client.Do(ctx, w.client.B().Xlen().Key(k.Input).Build()).AsInt64()
		cancel()
		if length > 0 || err != nil {
			w.t.Logf("partition %d, slot %d: %d entries, %v", p, k.Slot, length, err)
		}
	}
}

// awaitOwned waits until each of the streams has an owner.
func (w *world) awaitOwned(streams ...string) {
	w.t.Helper()
	w.eventually(func() bool {
		held := w.leases()
		return !slices.ContainsFunc(streams, func(s string) bool { return held[s] == nil })
	}, "an owner for each of %d streams", len(streams))
}

// holder is who holds a stream in its own eyes, nil for nobody.
func (w *world) holder(stream string) *party {
	for _, p := range w.all {
		if _, ok := p.engine.Lease(stream); ok {
			return p
		}
	}
	return nil
}

// checkOwners compares what all parties believed so far.
func (w *world) checkOwners() {
	w.t.Helper()
	var records []overlap.Record
	for _, p := range w.all {
		records = append(records, p.recorder.Records()...)
	}
	require.NoError(w.t, overlap.Check(records))
}

// finish has every stream done by its owner, announced twice or handed out again though it may be, until the input streams
// are empty; then it holds what everybody believed against each other.
func (w *world) finish() {
	w.t.Helper()
	began := time.Now()
	w.eventually(func() bool {
		for _, p := range w.all {
			p.doneWithAll()
		}
		for p := range partitions {
			k := w.layout.Keys(p)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			results := w.client.DoMulti(ctx, w.client.B().Xlen().Key(k.Input).Build(), w.client.B().Zcard().Key(k.Later).Build())
			cancel()
			for _, r := range results {
				if n, err := r.AsInt64(); err != nil || n > 0 {
					return false
				}
			}
		}
		return true
	}, "everything to be done")
	w.t.Logf("everything done: took %v", time.Since(began).Round(time.Millisecond))
	w.checkOwners()
	for _, p := range w.all {
		require.Zero(w.t, len(p.held()))
	}
}

// passes waits until so much time has passed.
func (w *world) passes(d time.Duration) {
	began := time.Now()
	w.eventually(func() bool { return time.Since(began) >= d }, "%v", d)
}
