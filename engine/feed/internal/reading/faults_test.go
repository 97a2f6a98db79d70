package reading

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// Connections that are killed while messages stream in lose nothing and bring nothing twice.
func TestHammerWithKilledConnections(t *testing.T) {
	s := servers.New(t)
	r := start(t, s.ClientOption(), nil)
	h := newHammer(r, 1000, func(i int) string { return fmt.Sprint("s", i) })
	stop, killed := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				killed <- n
				return
			case <-time.After(time.Duration(rand.IntN(60)) * time.Millisecond):
				n += killTracking(s)
			}
		}
	}()
	client := s.Client(t)
	for r.Stats().Count(Reconnects) < 5 { // few messages may be written faster than connections are killed
		h.write(t, client, hammered(10_000), 4)
	}
	close(stop)
	require.Positive(t, <-killed)
	h.check(t, r)
}

// killTracking kills the connections that track, and returns how many there were.
func killTracking(s *servers.Server) (n int) {
	ctx := context.Background()
	list, err := s.Call(ctx, "CLIENT", "LIST")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(list, "\n") {
		fields := make(map[string]string)
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			fields[name] = value
		}
		if strings.Contains(fields["flags"], "t") {
			if _, err := s.Call(ctx, "CLIENT", "KILL", "ID", fields["id"]); err == nil {
				n++
			}
		}
	}
	return n
}

// A server that is killed and comes back is read on.
func TestServerRestarts(t *testing.T) {
	s := servers.New(t, servers.Persist())
	r := start(t, s.ClientOption(), nil)
	a, b := newSource("a"), newSource("b")
	a.add(r)
	b.add(r)
	allResting(t, r)
	for i := range 3 {
		call(t, s, "XADD", "a", "*", "a", "b")
		eventually(t, "before", func() bool { return a.seen() == 2*i+1 })
		require.NoError(t, s.Kill())
		require.NoError(t, s.Restart(t.Context(), true))
		call(t, s, "XADD", "a", "*", "a", "b")
		call(t, s, "XADD", "b", "*", "a", "b")
		eventually(t, "after", func() bool { return a.seen() == 2*i+2 && b.seen() == i+1 })
	}
	allResting(t, r)
}

// shared is a cluster with a reader of streams on all its slots, and what follows its topology.
type shared struct {
	t        *testing.T
	c        *servers.Cluster
	client   rueidis.Client
	topology *cluster.Topology
	r        *Reader
	sources  []*source
}

func newShared(t *testing.T, o servers.ClusterOptions, streams int) *shared {
	x := &shared{t: t, c: servers.NewCluster(t, o)}
	option := x.c.ClientOption()
	option.ClusterOption.ShardsRefreshInterval = time.Second
	client, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	x.client, x.topology = client, cluster.NewTopology(client, time.Second)
	_, err = x.topology.Look(t.Context())
	require.NoError(t, err)
	x.r = start(t, option, func(cfg *Config) { cfg.SlotMaster = x.master })
	x.watch()
	for i := range streams {
		src := newSource(fmt.Sprint("s", i))
		src.add(x.r)
		x.sources = append(x.sources, src)
	}
	allResting(t, x.r)
	return x
}

func (x *shared) master(slot uint16) string {
	m := x.topology.Current()
	if i := m.Master(slot); i >= 0 {
		return m.Masters()[i].Addr
	}
	return ""
}

// watch does what the engine does: it looks at the topology, and says when it has changed.
func (x *shared) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if moved, err := x.topology.Look(ctx); err == nil && moved != (cluster.SlotSet{}) {
				x.r.Topology()
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	x.t.Cleanup(func() { cancel(); <-done })
}

// write adds a message to each stream, for as long as servers refuse it. A message may be added twice then.
func (x *shared) write(which func(i int) bool) {
	for i, src := range x.sources {
		if which != nil && !which(i) {
			continue
		}
		require.True(x.t, wait.For(soon, 20*time.Millisecond, func() bool {
			ctx, cancel := context.WithTimeout(x.t.Context(), time.Second)
			defer cancel()
			return x.client.Do(ctx, x.client.B().Xadd().Key(src.stream).Id("*").FieldValue().FieldValue("a", "b").Build()).Error() == nil
		}), src.stream)
	}
}

// caught waits until everything that is in the streams was read, in order, and requires that nothing was read twice.
func (x *shared) caught(what string) {
	x.t.Helper()
	for _, src := range x.sources {
		entries, err := x.client.Do(x.t.Context(), x.client.B().Xrange().Key(src.stream).Start("-").End("+").Build()).AsXRange()
		require.NoError(x.t, err)
		ids := make(map[string]bool)
		missing := func() string {
			src.mu.Lock()
			defer src.mu.Unlock()
			clear(ids)
			for _, m := range src.got {
				ids[m.ID] = true
			}
			for _, e := range entries {
				if !ids[e.ID] {
					return e.ID
				}
			}
			return ""
		}
		require.True(x.t, wait.For(soon, 10*time.Millisecond, func() bool { return missing() == "" }), "%s: %s lacks %s; %+v", what, src.stream, missing(), x.r.Stats())
		require.Len(x.t, ids, src.seen(), "%s: %s has something twice", what, src.stream)
	}
}

// A master that hangs holds up no stream of another one: what is written to those is read while it hangs.
func TestHungMaster(t *testing.T) {
	x := newShared(t, servers.ClusterOptions{Replicas: -1, NodeTimeout: time.Minute}, 60)
	hung, err := x.c.Owner(t.Context(), cluster.Slot("s0"))
	require.NoError(t, err)
	x.write(nil)
	x.caught("before")
	its := func(i int) bool { return x.master(cluster.Slot(x.sources[i].stream)) == hung.Addr() }
	x.write(its) // its lane has something to do when it hangs
	require.NoError(t, hung.Pause())
	for _, src := range x.sources {
		src.handle.Wake(true)
	}
	for round := range 20 {
		x.write(func(i int) bool { return !its(i) })
		for i, src := range x.sources {
			if !its(i) {
				eventually(t, "others are read", func() bool { return src.seen() == round+2 })
			}
		}
	}
	eventually(t, "it is noticed", func() bool { return x.r.Stats().Count(Failures) > 0 })
	require.NoError(t, hung.Resume())
	x.caught("after")
}

// A replica that takes over, with the old master or after it was killed, is read on.
func TestFailover(t *testing.T) {
	x := newShared(t, servers.ClusterOptions{}, 60)
	x.write(nil)
	x.caught("before")
	masters, err := x.c.Masters(t.Context())
	require.NoError(t, err)

	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			x.write(nil)
		}
	}()
	replicas, err := x.c.Replicas(t.Context(), masters[0])
	require.NoError(t, err)
	require.NoError(t, x.c.Failover(t.Context(), replicas[0], servers.Graceful))
	require.NoError(t, masters[1].Kill())
	_, err = x.c.AwaitOwner(t.Context(), slotOf(t, x.topology, masters[1]), masters[1])
	require.NoError(t, err)
	time.Sleep(300 * time.Millisecond) // writes go on
	stop.Store(true)
	<-done
	x.caught("after the failovers")
	x.write(nil)
	x.caught("at rest")
}

// slotOf returns a slot that a master had.
func slotOf(t *testing.T, topology *cluster.Topology, s *servers.Server) uint16 {
	for slot := range uint16(cluster.Slots) {
		m := topology.Current()
		if i := m.Master(slot); i >= 0 && m.Masters()[i].Addr == s.Addr() {
			return slot
		}
	}
	require.Fail(t, "it has no slot")
	return 0
}

// A slot that moves takes its streams along: those that exist, and one that does not, which nothing rings.
func TestSlotMoves(t *testing.T) {
	x := newShared(t, servers.ClusterOptions{Replicas: -1}, 0)
	for _, name := range []string{"{tag}:there", "{tag}:absent", "{tag}:later"} {
		src := newSource(name)
		src.add(x.r)
		x.sources = append(x.sources, src)
	}
	x.write(func(i int) bool { return i == 0 })
	x.caught("before")
	allResting(t, x.r)
	slot := cluster.Slot("{tag}")
	from, err := x.c.Owner(t.Context(), slot)
	require.NoError(t, err)
	masters, err := x.c.Masters(t.Context())
	require.NoError(t, err)
	to := masters[0]
	if to == from {
		to = masters[1]
	}
	move, err := x.c.BeginMove(t.Context(), slot, to)
	require.NoError(t, err)
	x.write(func(i int) bool { return i == 0 })
	require.True(t, wait.For(soon, 10*time.Millisecond, func() bool { return x.sources[0].seen() == 2 }), "while it moves")
	x.write(func(i int) bool { return i == 1 }) // goes to the new master; what was read was armed at the old one
	require.NoError(t, move.Finish(t.Context()))
	x.caught("moved")
	allResting(t, x.r)
	x.write(nil)
	x.caught("after")
}

// A sentinel that promotes another server has that one read.
func TestSentinelPromotes(t *testing.T) {
	s := servers.NewSentinel(t, servers.SentinelOptions{})
	client := s.Client(t)
	r := start(t, s.ClientOption(), nil)
	src := newSource("s")
	src.add(r)
	add := func() {
		eventually(t, "written", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return client.Do(ctx, client.B().Xadd().Key("s").Id("*").FieldValue().FieldValue("a", "b").Build()).Error() == nil
		})
	}
	add()
	eventually(t, "before", func() bool { return src.seen() == 1 })
	_, err := s.Failover(t.Context())
	require.NoError(t, err)
	seen := func() bool {
		last, err := r.LastID(t.Context(), "s")
		src.mu.Lock()
		defer src.mu.Unlock()
		return err == nil && src.after == last
	}
	for range 5 {
		add()
		eventually(t, "after", seen)
	}
}

// A server that tracks fewer keys than there are streams rings for nothing all the time. That is answered at a bounded rate, and messages are
// read all the same.
func TestServerTracksTooFewKeys(t *testing.T) {
	s := servers.New(t, servers.Args("--tracking-table-max-keys", "900"))
	r := start(t, s.ClientOption(), nil)
	const n, bounded = 1000, 4000
	sources := quietSources(n)
	began := time.Now()
	for _, src := range sources {
		src.r = r
		r.Add(src)
	}
	eventually(t, "rings for nothing", func() bool { return r.Stats().Count(Reads) > bounded })
	most := int64(3*n) + int64(time.Since(began)*time.Second/time.Duration(pacedGap)/time.Second)
	require.LessOrEqual(t, r.Stats().Count(Reads), most+256, "each is read once, and twice for nothing; the rest is bounded by time")
	require.NotZero(t, r.Stats().Count(Backoffs))
	client := s.Client(t)
	for _, src := range sources {
		require.NoError(t, client.Do(t.Context(), client.B().Xadd().Key(src.name).Id("*").FieldValue().FieldValue("a", "b").Build()).Error())
	}
	eventually(t, "all are read", func() bool { return r.Stats().Count(Messages) == n })
}
