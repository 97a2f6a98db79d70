package behave_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
)

// fastReconcile makes an engine compare what is pending with what it knows every two seconds.
var fastReconcile = engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond})

// trim empties all input streams with XTRIM.
func (h *harness) trim() {
	h.t.Helper()
	for p := range h.layout.Partitions() {
		require.NoError(h.t, h.do("XTRIM", h.layout.Keys(p).Input, "MAXLEN", "0").Error())
	}
}

// acknowledge sends XACK for entries in the partition of a stream.
func (h *harness) acknowledge(stream string, ids ...string) {
	h.t.Helper()
	n, err := h.do(append([]string{"XACK", h.keysOf(stream).Input, h.layout.Group()}, ids...)...).AsInt64()
	require.NoError(h.t, err)
	require.EqualValues(h.t, len(ids), n)
}

// removeConsumers sends XGROUP DELCONSUMER for an engine's consumers, as a cron job does that believes they are idle.
func (h *harness) removeConsumers(m *member) {
	h.t.Helper()
	for n := range h.layout.Partitions() {
		require.NoError(h.t, h.do("XGROUP", "DELCONSUMER", h.layout.Keys(n).Input, h.layout.Group(), m.engine.ID()).Error())
	}
}

// TestConsumerRemovedWhileItHoldsStreams: what it held was neither pending nor undelivered any more, and was lost when it
// ended. Now the ownerships continue under their tokens, although the process is full and does not read, and end as usual.
func TestConsumerRemovedWhileItHoldsStreams(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", nil, fastReconcile, engine.WithMaxStreams(32))
	streams := names("s", 32)
	h.announce(streams...)
	m.holds(32)
	tokens := make(map[string]api.Token)
	for _, s := range streams {
		tokens[s] = m.lease(s, 1).Token()
	}
	h.removeConsumers(m)
	h.stateIs(state{Input: 32, Pending: 32, Leases: 32, Sessions: 1, Consumers: 1})
	m.awaitAny("tampered_total", "result", "pending_again")
	require.Len(t, h.held(), 32)
	for _, s := range streams {
		require.Equal(t, tokens[s], m.lease(s, 1).Token())
		require.Positive(t, m.lease(s, 1).Remaining())
	}
	require.NoError(t, m.lease("s-0", 1).Done(context.Background()))
	require.NoError(t, m.shutdown())
	h.checkRequeued(31)
	require.Zero(t, m.notified(api.Disowned))
}

// TestConsumerRemovedJustBeforeTheDrain: there was no time to compare; entries are requeued by copying them from the input stream.
func TestConsumerRemovedJustBeforeTheDrain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", nil)
	h.announce(append(names("s", 40), "s-0", "s-1", "s-1")...)
	until(t, "some are held and some parked", func() bool { s := m.engine.Stats(); return s.Held == 40 && s.Parked == 3 })
	h.removeConsumers(m)
	require.NoError(t, m.shutdown())
	h.checkRequeued(43)
	for _, b := range h.backlogs() {
		require.Zero(t, b.Stranded)
	}
}

// backlogs returns the backlogs of all partitions.
func (h *harness) backlogs() []scan.Backlog {
	h.t.Helper()
	i, err := scan.NewInspector(h.client, h.service, scan.InspectorConfig{Timeout: patience})
	require.NoError(h.t, err)
	all, err := i.Backlog(context.Background())
	require.NoError(h.t, err)
	return all
}

// TestAcknowledgedByHandWhileHeld: the comparison finds one entry, one is done and leaves nothing behind, one fails.
func TestAcknowledgedByHandWhileHeld(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	m := h.start("a", nil)
	h.announce("done", "fail", "held")
	for _, s := range []string{"done", "fail", "held"} {
		h.acknowledge(s, m.lease(s, 1).Entry())
	}
	require.NoError(t, m.lease("done", 1).Done(ctx))
	require.NoError(t, m.lease("fail", 1).Fail(ctx, errWork))
	m.awaitCount(1, "tampered_total", "result", "announced_again")
	require.Positive(t, m.lease("held", 1).Remaining())
	require.NoError(t, m.shutdown())
	h.checkRequeued(2)
}

// TestDeletedByHandWhileHeld: entries in the middle are deleted with XDEL, still pending or acknowledged, too. The owner is
// notified that its stream is announced again, and it is.
func TestDeletedByHandWhileHeld(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", nil, fastReconcile)
	streams := h.namesOf(0, "s", 9)
	h.announce(streams...)
	m.holds(9)
	deleted, both := m.lease(streams[4], 1), m.lease(streams[6], 1)
	h.acknowledge(streams[6], both.Entry())
	h.delete(streams[4], deleted.Entry(), both.Entry())
	for i, l := range []api.Lease{deleted, both} {
		again := m.lease(streams[4+2*i], 2)
		require.Greater(t, again.Token(), l.Token())
		require.NotEqual(t, again.Entry(), l.Entry())
		require.ErrorIs(t, context.Cause(l.Context()), api.ErrReannounced)
		require.Equal(t, 1, m.notifiedOf(streams[4+2*i], api.Disowned))
	}
	require.Equal(t, 2, m.notified(api.Disowned))
	m.awaitCount(2, "disowned_total", "cause", "announcement")
	h.stateIs(state{Input: 9, Pending: 9, Leases: 9, Sessions: 1, Consumers: 1})
	require.False(t, strings.Contains(m.log.String(), "handed out again"), "the log claims nothing that is false")
}

// TestTrimmedByProducersWhileHeld: a producer trims the input with each announcement. Everything held is disowned, announced again,
// and owned again; the log says so.
func TestTrimmedByProducersWhileHeld(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", nil, fastReconcile)
	streams := names("s", 24)
	h.announce(streams...)
	m.holds(24)
	h.trim()
	for _, s := range streams {
		m.lease(s, 2)
	}
	m.awaitCount(24, "tampered_total", "result", "announced_again")
	m.holds(24)
	until(t, "the log says so", func() bool { return strings.Contains(m.log.String(), "never trim an input stream") })
	require.NoError(t, m.shutdown())
	h.checkRequeued(24)
}

// TestGroupDestroyedWhileHeld: everything is delivered again, to whichever engine reads first. The owners keep their streams, and
// what is done stays done.
func TestGroupDestroyedWhileHeld(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	a := h.start("a", nil, fastReconcile)
	streams := names("s", 24)
	h.announce(streams...)
	a.holds(24)
	b := h.start("b", nil, fastReconcile)
	for p := range h.layout.Partitions() {
		require.NoError(t, h.do("XGROUP", "DESTROY", h.layout.Keys(p).Input, h.layout.Group()).Error())
	}
	until(t, "everything is pending for its owner again", func() bool {
		owners := make(map[string]int)
		for p := range h.layout.Partitions() {
			rows, err := h.do("XPENDING", h.layout.Keys(p).Input, h.layout.Group(), "-", "+", "1000").ToArray()
			if err != nil {
				return false // the group does not exist again yet
			}
			for _, row := range rows {
				fields, _ := row.ToArray()
				name, _ := fields[1].ToString()
				owners[name]++
			}
		}
		return owners[a.engine.ID()] == 24
	})
	for _, s := range streams[:12] {
		require.NoError(t, a.lease(s, 1).Done(ctx))
	}
	require.NoError(t, a.shutdown())
	for _, s := range streams[12:] {
		b.lease(s, 1)
	}
	b.holds(12)
	require.Zero(t, a.notified(api.Disowned))
	require.NoError(t, b.shutdown())
	h.checkRequeued(12)
}

// TestClaimedByHandForAnotherConsumer: the owner of the stream gets its announcement back.
func TestClaimedByHandForAnotherConsumer(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", nil, fastReconcile)
	h.announce("s")
	l := m.lease("s", 1)
	require.NoError(t, h.do("XCLAIM", h.keysOf("s").Input, h.layout.Group(), "somebody", "0", l.Entry()).Error())
	input := h.keysOf("s").Input
	until(t, "it is pending for its owner", func() bool {
		n, err := h.do("XPENDING", input, h.layout.Group(), "-", "+", "1", m.engine.ID()).ToArray()
		return err == nil && len(n) == 1
	})
	require.Equal(t, l.Entry(), h.held()["s"].entry)
	require.NoError(t, l.Done(context.Background()))
	until(t, "it is done", func() bool { s := h.state(); return s.Input+s.Pending+s.Leases == 0 })
}

// TestTrimmedWhileHeldShowsInTheBacklog: if the owner died now, the announcement would be lost.
func TestTrimmedWhileHeldShowsInTheBacklog(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", nil)
	h.announce("s")
	l := m.lease("s", 1)
	h.delete("s", l.Entry())
	missing := 0
	for _, b := range h.backlogs() {
		missing += b.WithoutBody
	}
	require.Equal(t, 1, missing)
}

// TestStrandedAnnouncementsAreHandedOutAgain: they were delivered to a consumer that somebody removed, and no engine remembers
// them. A gauge counts them, and the inspector announces them again, so that they are owned.
func TestStrandedAnnouncementsAreHandedOutAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	m := h.start("a", nil, fastReconcile, engine.WithMaxStreams(1))
	h.announce("first")
	m.holds(1)
	streams := names("s", 12)
	h.announce(streams...)
	for n := range h.layout.Partitions() {
		input := h.layout.Keys(n).Input
		_ = h.client.Do(context.Background(), h.client.B().Xreadgroup().Group(h.layout.Group(), "ghost").Streams().Key(input).Id(">").Build()).Error() // nil where there is nothing
		require.NoError(t, h.do("XGROUP", "DELCONSUMER", input, h.layout.Group(), "ghost").Error())
	}
	m.awaitCount(12, "stranded")
	i, err := scan.NewInspector(h.client, h.service, scan.InspectorConfig{Timeout: patience})
	require.NoError(t, err)
	moved, err := i.Reannounce(context.Background(), scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 12, moved)
	m.engine.SetMaxStreams(0)
	for _, s := range streams {
		m.lease(s, 1)
	}
	m.awaitCount(0, "stranded")
	require.Zero(t, m.notified(api.Disowned))
}
