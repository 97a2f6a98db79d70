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

// compared has an engine compare what is pending with what it knows every two seconds.
var compared = engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond})

// trim is XTRIM of all input streams, to nothing.
func (w *world) trim() {
	w.t.Helper()
	for p := range w.layout.Partitions() {
		require.NoError(w.t, w.do("XTRIM", w.layout.Keys(p).Input, "MAXLEN", "0").Error())
	}
}

// acknowledge is XACK of entries of a stream's partition.
func (w *world) acknowledge(stream string, ids ...string) {
	w.t.Helper()
	n, err := w.do(append([]string{"XACK", w.keysOf(stream).Input, w.layout.Group()}, ids...)...).AsInt64()
	require.NoError(w.t, err)
	require.EqualValues(w.t, len(ids), n)
}

// removeConsumers is XGROUP DELCONSUMER of an engine's consumers, as a cron job does that takes them for idle.
func (w *world) removeConsumers(p *party) {
	w.t.Helper()
	for n := range w.layout.Partitions() {
		require.NoError(w.t, w.do("XGROUP", "DELCONSUMER", w.layout.Keys(n).Input, w.layout.Group(), p.engine.ID()).Error())
	}
}

// TestConsumerRemovedWhileItHoldsStreams: what it held was neither pending nor undelivered any more, and lost at its end. Now
// the ownerships go on, under their tokens, though the process is full and reads nothing; whatever ends them is as ever.
func TestConsumerRemovedWhileItHoldsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("a", nil, compared, engine.WithMaxStreams(32))
	streams := names("s", 32)
	w.announce(streams...)
	p.holds(32)
	tokens := make(map[string]api.Token)
	for _, s := range streams {
		tokens[s] = p.lease(s, 1).Token()
	}
	w.removeConsumers(p)
	w.stateIs(state{Input: 32, Pending: 32, Leases: 32, Sessions: 1, Consumers: 1})
	p.awaitAny("tampered_total", "result", "pending_again")
	require.Len(t, w.held(), 32)
	for _, s := range streams {
		require.Equal(t, tokens[s], p.lease(s, 1).Token())
		require.Positive(t, p.lease(s, 1).Remaining())
	}
	require.NoError(t, p.lease("s-0", 1).Done(context.Background()))
	require.NoError(t, p.shutdown())
	w.handedBack(31)
	require.Zero(t, p.told(api.Disowned))
}

// TestConsumerRemovedJustBeforeTheDrain: nobody had the time to compare; what is handed back is copied from where it lies.
func TestConsumerRemovedJustBeforeTheDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("a", nil)
	w.announce(append(names("s", 40), "s-0", "s-1", "s-1")...)
	until(t, "some are held and some parked", func() bool { s := p.engine.Stats(); return s.Held == 40 && s.Parked == 3 })
	w.removeConsumers(p)
	require.NoError(t, p.shutdown())
	w.handedBack(43)
	for _, b := range w.backlogs() {
		require.Zero(t, b.Stranded)
	}
}

// backlogs are those of all partitions.
func (w *world) backlogs() []scan.Backlog {
	w.t.Helper()
	i, err := scan.NewInspector(w.client, w.service, scan.InspectorConfig{Timeout: patience})
	require.NoError(w.t, err)
	all, err := i.Backlog(context.Background())
	require.NoError(w.t, err)
	return all
}

// TestAcknowledgedByHandWhileHeld: one is found by the comparison, one is done and leaves nothing behind, one fails.
func TestAcknowledgedByHandWhileHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	p := w.start("a", nil)
	w.announce("done", "fail", "held")
	for _, s := range []string{"done", "fail", "held"} {
		w.acknowledge(s, p.lease(s, 1).Entry())
	}
	require.NoError(t, p.lease("done", 1).Done(ctx))
	require.NoError(t, p.lease("fail", 1).Fail(ctx, errWork))
	p.awaitCount(1, "tampered_total", "result", "announced_again")
	require.Positive(t, p.lease("held", 1).Remaining())
	require.NoError(t, p.shutdown())
	w.handedBack(2)
}

// TestDeletedByHandWhileHeld: by XDEL, from the midst of the others, pending or acknowledged too. The owner is told that its
// stream is announced again, and it is.
func TestDeletedByHandWhileHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("a", nil, compared)
	streams := w.namesOf(0, "s", 9)
	w.announce(streams...)
	p.holds(9)
	deleted, both := p.lease(streams[4], 1), p.lease(streams[6], 1)
	w.acknowledge(streams[6], both.Entry())
	w.delete(streams[4], deleted.Entry(), both.Entry())
	for i, l := range []api.Lease{deleted, both} {
		again := p.lease(streams[4+2*i], 2)
		require.Greater(t, again.Token(), l.Token())
		require.NotEqual(t, again.Entry(), l.Entry())
		require.ErrorIs(t, context.Cause(l.Context()), api.ErrReannounced)
		require.Equal(t, 1, p.toldOf(streams[4+2*i], api.Disowned))
	}
	require.Equal(t, 2, p.told(api.Disowned))
	p.awaitCount(2, "disowned_total", "cause", "announcement")
	w.stateIs(state{Input: 9, Pending: 9, Leases: 9, Sessions: 1, Consumers: 1})
	require.False(t, strings.Contains(p.log.String(), "handed out again"), "nothing is said that is not true")
}

// TestTrimmedByProducersWhileHeld: a producer trims the input with each announcement. Whatever is held is disowned, announced
// again, and owned again; the log says so.
func TestTrimmedByProducersWhileHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("a", nil, compared)
	streams := names("s", 24)
	w.announce(streams...)
	p.holds(24)
	w.trim()
	for _, s := range streams {
		p.lease(s, 2)
	}
	p.awaitCount(24, "tampered_total", "result", "announced_again")
	p.holds(24)
	until(t, "the log tells", func() bool { return strings.Contains(p.log.String(), "never trim an input stream") })
	require.NoError(t, p.shutdown())
	w.handedBack(24)
}

// TestGroupDestroyedWhileHeld: everything is delivered once more, to whoever comes first. The owners keep their streams, and
// what is done stays done.
func TestGroupDestroyedWhileHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	a := w.start("a", nil, compared)
	streams := names("s", 24)
	w.announce(streams...)
	a.holds(24)
	b := w.start("b", nil, compared)
	for p := range w.layout.Partitions() {
		require.NoError(t, w.do("XGROUP", "DESTROY", w.layout.Keys(p).Input, w.layout.Group()).Error())
	}
	until(t, "all is pending for its owner again", func() bool {
		owners := make(map[string]int)
		for p := range w.layout.Partitions() {
			rows, err := w.do("XPENDING", w.layout.Keys(p).Input, w.layout.Group(), "-", "+", "1000").ToArray()
			if err != nil {
				return false // the group is not made again yet
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
	require.Zero(t, a.told(api.Disowned))
	require.NoError(t, b.shutdown())
	w.handedBack(12)
}

// TestClaimedByHandForAnotherConsumer: who owns the stream gets its announcement back.
func TestClaimedByHandForAnotherConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("a", nil, compared)
	w.announce("s")
	l := p.lease("s", 1)
	require.NoError(t, w.do("XCLAIM", w.keysOf("s").Input, w.layout.Group(), "somebody", "0", l.Entry()).Error())
	input := w.keysOf("s").Input
	until(t, "it is pending for its owner", func() bool {
		n, err := w.do("XPENDING", input, w.layout.Group(), "-", "+", "1", p.engine.ID()).ToArray()
		return err == nil && len(n) == 1
	})
	require.Equal(t, l.Entry(), w.held()["s"].entry)
	require.NoError(t, l.Done(context.Background()))
	until(t, "it is done", func() bool { s := w.state(); return s.Input+s.Pending+s.Leases == 0 })
}

// TestTrimmedWhileHeldShowsInTheBacklog: if the owner died now, the announcement would be lost.
func TestTrimmedWhileHeldShowsInTheBacklog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("a", nil)
	w.announce("s")
	l := p.lease("s", 1)
	w.delete("s", l.Entry())
	missing := 0
	for _, b := range w.backlogs() {
		missing += b.WithoutBody
	}
	require.Equal(t, 1, missing)
}

// TestStrandedAnnouncementsAreHandedOutAgain: they were given to a consumer that somebody removed, and nobody remembers them. A
// gauge says so, and the inspector brings them back, to be owned.
func TestStrandedAnnouncementsAreHandedOutAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start("a", nil, compared, engine.WithMaxStreams(1))
	w.announce("first")
	p.holds(1)
	streams := names("s", 12)
	w.announce(streams...)
	for n := range w.layout.Partitions() {
		input := w.layout.Keys(n).Input
		_ = w.client.Do(context.Background(), w.client.B().Xreadgroup().Group(w.layout.Group(), "ghost").Streams().Key(input).Id(">").Build()).Error() // nil where there is nothing
		require.NoError(t, w.do("XGROUP", "DELCONSUMER", input, w.layout.Group(), "ghost").Error())
	}
	p.awaitCount(12, "stranded")
	i, err := scan.NewInspector(w.client, w.service, scan.InspectorConfig{Timeout: patience})
	require.NoError(t, err)
	moved, err := i.Reannounce(context.Background(), scan.Selection{})
	require.NoError(t, err)
	require.Equal(t, 12, moved)
	p.engine.SetMaxStreams(0)
	for _, s := range streams {
		p.lease(s, 1)
	}
	p.awaitCount(0, "stranded")
	require.Zero(t, p.told(api.Disowned))
}
