package recovery

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// balanced reports whether the sums of the fleet are those of these consumers, each of which shares, has a weight of 1, and nothing else
// is on record.
func (h *harness) balanced(consumers ...string) bool {
	h.T.Helper()
	rows, err := h.Try("HGETALL", h.keys.Fleet).AsStrMap()
	require.NoError(h.T, err)
	for _, name := range consumers {
		if row := rows[name]; !strings.HasPrefix(row, "1000 0 ") || !strings.HasSuffix(row, " shares") {
			return false
		}
	}
	var weight, full, joins, silent int
	_, _ = fmt.Sscan(h.Text("HGET", h.keys.Books, "sums"), &weight, &full, &joins, &silent)
	return len(rows) == len(consumers) && h.Num("ZCARD", h.keys.Load) == len(consumers) &&
		weight == 1000*len(consumers) && full == 0 && silent == 0
}

// logBooks shows what is on record when a test fails.
func (h *harness) logBooks() {
	h.T.Cleanup(func() {
		if h.T.Failed() {
			books, _ := h.Try("HGETALL", h.keys.Books).AsStrMap()
			rows, _ := h.Try("HGETALL", h.keys.Fleet).AsStrMap()
			load, _ := h.Try("ZRANGE", h.keys.Load, "0", "-1", "WITHSCORES").ToAny()
			h.T.Logf("books %v, fleet %v, load %v", books, rows, load)
		}
	})
}

// otherThan returns the name of the consumer besides this one, once there is one.
func (h *harness) otherThan(name string) (other string) {
	h.T.Helper()
	h.until("there is another consumer", func() bool {
		for _, other = range h.Consumers(h.keys.Input, h.layout.Group()) {
			if other != name {
				return true
			}
		}
		return false
	})
	return other
}

// TestWeightOfAProcessThatIsKilledCountsNoMore: its streams are the share of those that are left, so they may read them.
func TestWeightOfAProcessThatIsKilledCountsNoMore(t *testing.T) {
	t.Parallel()
	const streams = 60
	h := newHarness(t)
	h.logBooks()
	a := h.member("a", nil)
	h.add(upTo(streams)...)
	h.ownedBy(streams, a)
	c := h.child(spec{Name: "c", Session: 2 * time.Second, Lease: 4 * time.Second})
	name := h.otherThan(a.engine.ID())
	h.until("both count", func() bool { return h.balanced(a.engine.ID(), name) })
	// It is the emptier one, and gets what comes.
	n := streams
	h.until("the other one has some", func() bool {
		h.add(n)
		n++
		return c.held() > 5
	})
	c.kill()
	h.until("the first one counts alone", func() bool { return h.balanced(a.engine.ID()) })
	h.ownedBy(n, a)
	h.stateIs(state{Input: n, Pending: n, Leases: n, Sessions: 1, Consumers: 1})
	h.checkOwners()
}

// TestProcessThatDiesWhileItLeavesCountsNoMore: its session is closed, and its last call does not arrive. A scan removes what it has on
// record.
func TestProcessThatDiesWhileItLeavesCountsNoMore(t *testing.T) {
	t.Parallel()
	const streams = 20
	h := newHarness(t)
	h.logBooks()
	link := h.link()
	opts := []engine.Option{
		engine.WithSessionTTL(2 * time.Second), engine.WithLeaseTTL(4 * time.Second),
		engine.WithRecovery(scan.Config{Interval: scan.MinInterval}),
	}
	a := h.memberOn(link.ClientOption(), "a", nil, opts...)
	b := h.member("b", nil, opts...)
	h.until("both count", func() bool { return h.balanced(a.engine.ID(), b.engine.ID()) })
	h.add(upTo(streams)...)
	h.ownedBy(streams, a, b)
	dead := h.dieAt(link, "leave", proxy.CutBefore)
	a.cancel()
	h.until("it dies", dead.Load)
	link.Cut()
	a.drop()
	h.until("the other one counts alone", func() bool { return h.balanced(b.engine.ID()) })
	h.ownedBy(streams, b)
	h.checkOwners()
}

// TestServerThatForgetsTheFleetMovesNothing: the server comes back without the keys of the balance, as after a failover that lost them, or
// with them deleted by hand. What is on record is right again soon, nothing is handed back meanwhile, and no ownership changes.
func TestServerThatForgetsTheFleetMovesNothing(t *testing.T) {
	t.Parallel()
	const streams = 40
	h := newHarness(t, servers.Args("--dbfilename", "books.rdb"))
	h.logBooks()
	var over atomic.Bool
	handed := func(m *member, n api.Notification) error {
		if n.Kind != api.Added && !over.Load() {
			t.Errorf("%s: %v of %s", m.name, n.Kind, n.Stream)
		}
		return nil
	}
	opts := []engine.Option{
		engine.WithSessionTTL(6 * time.Second), engine.WithLeaseTTL(30 * time.Second),
		engine.WithRecovery(scan.Config{Interval: scan.MinInterval}),
	}
	a, b := h.member("a", handed, opts...), h.member("b", handed, opts...)
	h.until("both count", func() bool { return h.balanced(a.engine.ID(), b.engine.ID()) })
	for n := range streams { // one by one, so that they are spread evenly, and nobody has anything to give
		h.add(n)
		h.ownedBy(n+1, a, b)
	}
	before := [2]int{a.held(), b.held()}

	h.Do("DEL", h.keys.Books, h.keys.Load, h.keys.Fleet)
	h.Do("SAVE")
	require.NoError(t, h.server.Kill())
	require.NoError(t, h.server.Restart(context.Background(), false))
	h.until("the server is there", func() bool { return h.Try("PING").Error() == nil })
	h.until("both count again", func() bool { return h.balanced(a.engine.ID(), b.engine.ID()) })
	h.until("both are ready", func() bool {
		return a.engine.Ready(context.Background()) == nil && b.engine.Ready(context.Background()) == nil
	})
	require.Equal(t, before, [2]int{a.held(), b.held()})
	for _, m := range h.fleet {
		require.Zero(t, m.metric("moves_total"), m.name)
		require.Zero(t, m.lost(), m.name)
	}
	require.Zero(t, h.countField(lease.FieldCrashes))
	h.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 2, Consumers: 2})
	h.checkOwners()
	over.Store(true)
}
