package cluster

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// Ten thousand streams are held while a slot with a partition moves key by key to another master, and rests half-way for
// three lease TTLs. No lease is lost, nobody is told anything, and nothing is owned twice. What cannot be done meanwhile is
// done afterwards: taking what is announced there, Done, and the start of a new engine in that partition. In all others it
// goes on as ever.
func TestSlotMoves(t *testing.T) {
	const ttl, count, partition = 8 * time.Second, 10_000, 0
	w := newWorld(t)
	options := []engine.Option{engine.WithSessionTTL(ttl), engine.WithLeaseTTL(ttl)}
	a, b := w.join("a", options...), w.join("b", options...)
	all := names(0, count)
	w.announce(all...)
	w.awaitOwned(all...)
	moving := w.in(all, []int{partition})
	rest := []int{}
	for p := range partitions {
		if p != partition {
			rest = append(rest, p)
		}
	}
	before := w.leases()
	a.watch([]int{partition})
	b.watch([]int{partition})

	m := w.move(partition)
	w.step("half of the keys moved, one by one", func(ctx context.Context) error {
		keys, err := m.Left(ctx, 2*count)
		if err != nil {
			return err
		}
		t.Logf("slot %d has %d keys, %d streams are on it", m.Slot, len(keys), len(moving))
		require.Greater(t, len(keys), len(moving))
		for i := 0; i < len(keys); i += 2 {
			if err := m.Keys(ctx, keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
	began := time.Now()

	// Half-way.
	w.announce(names(count, count+50)...)
	fresh, later := w.in(names(count, count+50), rest), w.in(names(count, count+50), []int{partition})
	require.NotEmpty(t, later)
	w.awaitOwned(fresh...)
	c := w.newParty("c")
	e, err := engine.Open(w.cluster.ClientOption(), w.service, c.options(options)...)
	require.NoError(t, err)
	w.runUnready(c, e)
	w.eventually(func() bool { return c.engine.Stats().Live == partitions-1 }, "c to be there in all other partitions")
	ending := before[moving[0]]
	done := make(chan error, 1)
	go func() {
		ctx, cancel := w.ctx()
		defer cancel()
		done <- ending.Done(ctx)
	}()
	w.passes(3*ttl - time.Since(began))
	for _, l := range before {
		if l != ending {
			require.Positive(t, l.Remaining(), l.Stream())
		}
	}
	select {
	case err := <-done:
		t.Logf("done while its slot is on its way: %v", err) // all of its keys were on one side
		done <- err
	default:
	}

	w.step("the other half", m.Finish)
	w.eventually(func() bool { return len(done) == 1 }, "the outcome of Done")
	require.NoError(t, <-done)
	w.awaitOwned(later...)
	w.eventually(func() bool { return c.ready() == nil }, "c to be ready")
	for s, l := range before {
		if l != ending {
			require.Positive(t, l.Remaining(), s)
		}
	}
	for _, p := range w.all {
		require.Empty(t, p.lost(), "what %s was told it does not own any more", p.name)
		require.Zero(t, p.heard(api.EventSessionLost), p.name)
		require.Zero(t, p.metric(t, "disowned_total"))
	}
	for _, p := range []*party{a, b} {
		t.Logf("%s: %v remained at least of leases in the slot, of %v with renewals on time", p.name,
			p.leastLeft().Round(time.Millisecond), (ttl - ttl/10 - ttl/3).Round(time.Millisecond))
	}
	w.finish()
}

// A process dies while the slot of its streams is on its way: the others recover them when it has arrived.
func TestRecoveryAfterASlotMoved(t *testing.T) {
	const partition = 3
	w := newWorld(t)
	a := w.join("a", ttl(shortSession)...)
	all := names(0, 200)
	w.announce(all...)
	w.awaitOwned(all...)
	mine := w.in(all, []int{partition})
	b := w.join("b", ttl(shortSession)...)
	m := w.move(partition)
	w.step("a part of the keys moved", func(ctx context.Context) error {
		_, err := m.Some(ctx, 5)
		return err
	})
	tokens := w.tokens()
	a.cut.set(w.addrs()...)
	w.eventually(func() bool { return len(a.held()) == 0 }, "a to know that it has lost all")
	w.awaitOwned(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(mine, s) })...)
	for _, s := range mine {
		require.Nil(t, w.holder(s), "%s cannot be recovered half-way", s)
	}
	w.step("the rest", m.Finish)
	w.awaitOwned(all...)
	require.Len(t, b.held(), len(all))
	w.tokensRose(tokens)
	a.cut.set()
	w.finish()
}

// addrs are those of all nodes.
func (w *world) addrs() (out []string) {
	for _, s := range w.cluster.Nodes() {
		out = append(out, s.Addr())
	}
	return out
}

// move begins to move the slot of a partition to another master.
func (w *world) move(partition int) *servers.Move {
	w.t.Helper()
	ctx, cancel := w.ctx()
	defer cancel()
	m, err := w.cluster.BeginMove(ctx, w.layout.Keys(partition).Slot, w.otherThan(w.owner(partition)))
	require.NoError(w.t, err)
	return m
}
