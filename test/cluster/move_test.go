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

// Ten thousand streams are held while the slot of a partition migrates key by key to another master, and stays half-way for
// three lease TTLs. No lease is lost, no engine is notified of anything, and nothing is owned twice. What cannot be done
// meanwhile succeeds afterwards: taking new announcements in that partition, Done, and the start of a new engine there. All
// other partitions work as usual.
func TestSlotMoves(t *testing.T) {
	const ttl, count, partition = 8 * time.Second, 10_000, 0
	h := newHarness(t)
	options := []engine.Option{engine.WithSessionTTL(ttl), engine.WithLeaseTTL(ttl)}
	a, b := h.join("a", options...), h.join("b", options...)
	all := names(0, count)
	h.announce(all...)
	h.awaitOwned(all...)
	moving := h.in(all, []int{partition})
	rest := []int{}
	for p := range partitions {
		if p != partition {
			rest = append(rest, p)
		}
	}
	before := h.leases()
	a.watch([]int{partition})
	b.watch([]int{partition})

	move := h.move(partition)
	h.step("half of the keys moved, one by one", func(ctx context.Context) error {
		keys, err := move.Left(ctx, 2*count)
		if err != nil {
			return err
		}
		t.Logf("slot %d has %d keys, %d streams are on it", move.Slot, len(keys), len(moving))
		require.Greater(t, len(keys), len(moving))
		for i := 0; i < len(keys); i += 2 {
			if err := move.Keys(ctx, keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
	began := time.Now()

	// Half-way.
	h.announce(names(count, count+50)...)
	fresh, later := h.in(names(count, count+50), rest), h.in(names(count, count+50), []int{partition})
	require.NotEmpty(t, later)
	h.awaitOwned(fresh...)
	c := h.newMember("c")
	e, err := engine.Open(h.cluster.ClientOption(), h.service, c.options(options)...)
	require.NoError(t, err)
	h.runUnready(c, e)
	h.eventually(func() bool { return c.engine.Stats().Live == partitions-1 }, "c to be live in all other partitions")
	ending := before[moving[0]]
	done := make(chan error, 1)
	go func() {
		ctx, cancel := h.ctx()
		defer cancel()
		done <- ending.Done(ctx)
	}()
	h.awaitTime(3*ttl - time.Since(began))
	for _, l := range before {
		if l != ending {
			require.Positive(t, l.Remaining(), l.Stream())
		}
	}
	select {
	case err := <-done:
		t.Logf("done while its slot migrates: %v", err) // all of its keys were on one side
		done <- err
	default:
	}

	h.step("the other half", move.Finish)
	h.eventually(func() bool { return len(done) == 1 }, "the outcome of Done")
	require.NoError(t, <-done)
	h.awaitOwned(later...)
	h.eventually(func() bool { return c.ready() == nil }, "c to be ready")
	for s, l := range before {
		if l != ending {
			require.Positive(t, l.Remaining(), s)
		}
	}
	for _, m := range h.fleet {
		require.Empty(t, m.lost(), "what %s was notified of losing", m.name)
		require.Zero(t, m.events.Count(api.EventSessionLost), m.name)
		require.Zero(t, m.metric(t, "disowned_total"))
	}
	for _, m := range []*member{a, b} {
		t.Logf("%s: leases in the slot had at least %v left, of %v with renewals on time", m.name,
			m.leastLeft().Round(time.Millisecond), (ttl - ttl/10 - ttl/3).Round(time.Millisecond))
	}
	h.finish()
}

// A process dies while the slot of its streams migrates: the others recover them once the migration is over.
func TestRecoveryAfterASlotMoved(t *testing.T) {
	const partition = 3
	h := newHarness(t)
	a := h.join("a", ttl(shortSession)...)
	all := names(0, 200)
	h.announce(all...)
	h.awaitOwned(all...)
	mine := h.in(all, []int{partition})
	b := h.join("b", ttl(shortSession)...)
	move := h.move(partition)
	h.step("some of the keys moved", func(ctx context.Context) error {
		_, err := move.Some(ctx, 5)
		return err
	})
	tokens := h.tokens()
	a.cut.set(h.addrs()...)
	h.eventually(func() bool { return len(a.held()) == 0 }, "a to learn that it has lost everything")
	h.awaitOwned(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(mine, s) })...)
	for _, s := range mine {
		require.Nil(t, h.holder(s), "%s cannot be recovered half-way", s)
	}
	h.step("the rest", move.Finish)
	h.awaitOwned(all...)
	require.Len(t, b.held(), len(all))
	h.tokensRose(tokens)
	a.cut.set()
	h.finish()
}

// addrs returns the addresses of all nodes.
func (h *harness) addrs() (out []string) {
	for _, s := range h.cluster.Nodes() {
		out = append(out, s.Addr())
	}
	return out
}

// move starts to migrate the slot of a partition to another master.
func (h *harness) move(partition int) *servers.Move {
	h.t.Helper()
	ctx, cancel := h.ctx()
	defer cancel()
	m, err := h.cluster.BeginMove(ctx, h.layout.Keys(partition).Slot, h.otherThan(h.owner(partition)))
	require.NoError(h.t, err)
	return m
}
