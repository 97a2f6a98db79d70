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
	"github.com/streamlease/streamlease/test/wait"
)

// patience is how long a test waits for what must happen, on a machine that is busy with other things.
const patience = 60 * time.Second

// partitions is enough for every master to have several, and for one master to have more than are renewed there at a time.
const partitions = 16

// shared is the cluster that all tests of this package use in turn: starting one takes seconds.
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

// harness is a cluster with one service on it, and the engines that share it.
type harness struct {
	t       testing.TB
	cluster *servers.Cluster
	service string
	layout  *cluster.Layout
	client  rueidis.Client // for the test; no engine uses it
	clock   overlap.Clock
	fleet   []*member
	killed  map[*servers.Server]bool
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		c, err := servers.StartCluster(context.Background(), servers.ClusterOptions{Node: servers.Options{
			Args: []string{
				// A replica may take over even if its link was cut for a while.
				"--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no",
				// The other masters keep working while one is down; by default a cluster serves all slots or none.
				"--cluster-require-full-coverage", "no",
			},
		}})
		require.NoError(t, err)
		shared.cluster = c
	}
	h := &harness{t: t, cluster: shared.cluster, clock: overlap.NewClock(), killed: make(map[*servers.Server]bool)}
	h.service = strings.ToLower(strings.ReplaceAll(t.Name(), "/", "."))
	layout, err := cluster.NewLayout(h.service, partitions)
	require.NoError(t, err)
	h.layout = layout
	h.heal()
	h.client = h.cluster.Client(t)
	t.Cleanup(func() {
		for _, m := range h.fleet {
			m.end()
		}
		h.heal()
		if t.Failed() {
			for _, s := range h.cluster.Nodes() {
				t.Logf("log of the node on %s:\n%s", s.Addr(), s.LogTail())
			}
		}
	})
	return h
}

// heal makes sure that every node runs, and waits until all agree.
func (h *harness) heal() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, s := range h.cluster.Nodes() {
		require.NoError(h.t, s.Resume())
		if h.killed[s] {
			require.NoError(h.t, s.Restart(ctx, false))
			delete(h.killed, s)
		}
	}
	require.NoError(h.t, h.cluster.AwaitReady(ctx))
}

// kill ends a node with SIGKILL.
func (h *harness) kill(s *servers.Server) {
	h.t.Helper()
	h.killed[s] = true
	require.NoError(h.t, s.Kill())
}

// ctx returns a context that bounds one step.
func (h *harness) ctx() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// step runs one action on the cluster, and logs how long it took.
func (h *harness) step(what string, f func(ctx context.Context) error) {
	h.t.Helper()
	ctx, cancel := h.ctx()
	defer cancel()
	began := time.Now()
	require.NoError(h.t, f(ctx), what)
	h.t.Logf("%s: took %v", what, time.Since(began).Round(time.Millisecond))
}

// owner returns the master of a partition.
func (h *harness) owner(p int) (s *servers.Server) {
	h.t.Helper()
	ctx, cancel := h.ctx()
	defer cancel()
	require.NoError(h.t, retry(ctx, func() (err error) {
		s, err = h.cluster.Owner(ctx, h.layout.Keys(p).Slot)
		return err
	}))
	return s
}

// replica returns the replica of a master.
func (h *harness) replica(master *servers.Server) *servers.Server {
	h.t.Helper()
	ctx, cancel := h.ctx()
	defer cancel()
	all, err := h.cluster.Replicas(ctx, master)
	require.NoError(h.t, err)
	require.NotEmpty(h.t, all)
	return all[0]
}

// partitionsOf returns the partitions on a master, and the others.
func (h *harness) partitionsOf(master *servers.Server) (mine, others []int) {
	h.t.Helper()
	for p := range partitions {
		if h.owner(p) == master {
			mine = append(mine, p)
		} else {
			others = append(others, p)
		}
	}
	require.NotEmpty(h.t, mine)
	require.NotEmpty(h.t, others)
	return mine, others
}

// otherThan returns a master other than this one.
func (h *harness) otherThan(s *servers.Server) *servers.Server {
	h.t.Helper()
	ctx, cancel := h.ctx()
	defer cancel()
	all, err := h.cluster.Masters(ctx)
	require.NoError(h.t, err)
	all = slices.DeleteFunc(all, func(m *servers.Server) bool { return m == s })
	require.NotEmpty(h.t, all)
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

// names returns the names of streams from one number up to another, which is excluded.
func names(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("s-%d", i))
	}
	return out
}

// in returns those of the streams that belong to these partitions.
func (h *harness) in(streams []string, where []int) (out []string) {
	for _, s := range streams {
		if slices.Contains(where, h.layout.Of(s)) {
			out = append(out, s)
		}
	}
	return out
}

// announce adds an entry for each stream, as producers do. A command that fails is sent again, so there may be two entries.
func (h *harness) announce(streams ...string) {
	h.t.Helper()
	ctx, cancel := h.ctx()
	defer cancel()
	for len(streams) > 0 {
		n := min(len(streams), 1000)
		require.NoError(h.t, retry(ctx, func() error { return h.tryAnnounce(ctx, streams[:n]) }))
		streams = streams[n:]
	}
}

func (h *harness) tryAnnounce(ctx context.Context, streams []string) (err error) {
	commands := make(rueidis.Commands, len(streams))
	for i, s := range streams {
		text, encodeErr := lease.EncodeAnnouncement(s, nil)
		require.NoError(h.t, encodeErr)
		commands[i] = h.client.B().Xadd().Key(h.layout.Keys(h.layout.Of(s)).Input).Id("*").
			FieldValue().FieldValue(lease.FieldAnnouncement, string(text)).Build()
	}
	for _, r := range h.client.DoMulti(ctx, commands...) {
		err = errors.Join(err, r.Error())
	}
	return err
}

// eventually waits for a condition.
func (h *harness) eventually(ok func() bool, what string, args ...any) {
	h.t.Helper()
	if !wait.For(patience, 25*time.Millisecond, ok) {
		h.logState()
		require.FailNow(h.t, "did not happen: "+fmt.Sprintf(what, args...))
	}
}

func (h *harness) logState() {
	for _, m := range h.fleet {
		h.t.Logf("%s: %+v, ready: %v", m.name, m.engine.Stats(), m.engine.Ready(context.Background()))
	}
	for p := range partitions {
		k := h.layout.Keys(p)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		length, err := h.client.Do(ctx, h.client.B().Xlen().Key(k.Input).Build()).AsInt64()
		cancel()
		if length > 0 || err != nil {
			h.t.Logf("partition %d, slot %d: %d entries, %v", p, k.Slot, length, err)
		}
	}
}

// awaitOwned waits until each of the streams has an owner.
func (h *harness) awaitOwned(streams ...string) {
	h.t.Helper()
	h.eventually(func() bool {
		held := h.leases()
		return !slices.ContainsFunc(streams, func(s string) bool { return held[s] == nil })
	}, "an owner for each of %d streams", len(streams))
}

// holder returns the member that believes it holds a stream, or nil.
func (h *harness) holder(stream string) *member {
	for _, m := range h.fleet {
		if _, ok := m.engine.Lease(stream); ok {
			return m
		}
	}
	return nil
}

// checkOwners compares what all members believed so far.
func (h *harness) checkOwners() {
	h.t.Helper()
	var recorders []*overlap.Recorder
	for _, m := range h.fleet {
		recorders = append(recorders, m.recorder)
	}
	require.NoError(h.t, overlap.CheckAll(recorders...))
}

// finish lets the owners end every stream with Done, even those that were announced twice or are handed out again, until the
// input streams are empty. Then it compares what all members believed.
func (h *harness) finish() {
	h.t.Helper()
	began := time.Now()
	h.eventually(func() bool {
		for _, m := range h.fleet {
			m.doneWithAll()
		}
		for p := range partitions {
			k := h.layout.Keys(p)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			results := h.client.DoMulti(ctx, h.client.B().Xlen().Key(k.Input).Build(), h.client.B().Zcard().Key(k.Later).Build())
			cancel()
			for _, r := range results {
				if n, err := r.AsInt64(); err != nil || n > 0 {
					return false
				}
			}
		}
		return true
	}, "everything to be done")
	h.t.Logf("everything done: took %v", time.Since(began).Round(time.Millisecond))
	h.checkOwners()
	for _, m := range h.fleet {
		require.Zero(h.t, len(m.held()))
	}
}

// awaitTime waits until this much time has passed.
func (h *harness) awaitTime(d time.Duration) {
	began := time.Now()
	h.eventually(func() bool { return time.Since(began) >= d }, "%v", d)
}
