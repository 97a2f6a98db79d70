package behave_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/proxy"
)

// TestTrimmedBodiesOfHeldEntriesAreAnnouncedAgain: the owners carry on, since their leases are valid. Done ends a stream for
// good, and every other ending announces it again from memory. A drain used to lose it.
func TestTrimmedBodiesOfHeldEntriesAreAnnouncedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	m := h.start("a", nil, engine.WithLeaseTTL(shortTTL))
	h.announce("done", "release", "fail", "snooze", "shutdown")
	ends := map[string]func(l api.Lease) error{
		"done":    func(l api.Lease) error { return l.Done(ctx) },
		"release": func(l api.Lease) error { return l.Release(ctx) },
		"fail":    func(l api.Lease) error { return l.Fail(ctx, errWork) },
		"snooze":  func(l api.Lease) error { return l.Fail(ctx, api.Snooze(time.Hour)) },
	}
	for _, s := range []string{"done", "release", "fail", "snooze", "shutdown"} {
		m.lease(s, 1)
	}
	h.trim()
	kept := m.metric("renewals_total", "result", "kept")
	until(t, "they are renewed nevertheless", func() bool { return m.metric("renewals_total", "result", "kept") > kept+10 })
	h.stateIs(state{Pending: 5, Leases: 5, Sessions: 1, Consumers: 1})
	// One of the endings triggers a comparison of the rest: those are disowned and announced again, if that happens first.
	for _, s := range []string{"done", "release", "fail", "snooze"} {
		if err := ends[s](m.lease(s, 1)); err != nil {
			require.ErrorIs(t, err, api.ErrReannounced)
		}
	}
	require.NoError(t, m.shutdown())
	h.checkRequeued(4)
	require.Positive(t, m.metric("tampered_total", "result", "announced_again"))
	require.Zero(t, m.metric("tampered_total", "result", "lost"))
}

// TestTrimmedBodiesOfParkedEntriesAreAnnouncedAgain: when their turn comes there is nothing to hand out, so the entry behind
// them is next. They follow later, announced again from memory.
func TestTrimmedBodiesOfParkedEntriesAreAnnouncedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ctx := context.Background()
	m := h.start("a", nil)
	ids := h.announce("s", "s", "s", "s")
	l := m.lease("s", 1)
	until(t, "the others are parked", func() bool { return m.engine.Stats().Parked == 3 })
	h.delete("s", ids[1], ids[2])
	require.NoError(t, l.Done(ctx))
	l = m.lease("s", 2)
	require.Equal(t, ids[3], l.Entry())
	m.awaitAny("entries_gone_total")
	h.stateIs(state{Input: 3, Pending: 3, Leases: 1, Sessions: 1, Consumers: 1})
	until(t, "they are parked again", func() bool { return m.engine.Stats().Parked == 2 })

	// Deleted while it waits for a stream that is held.
	id := h.announce("s")[0]
	until(t, "it is parked", func() bool { return m.engine.Stats().Parked == 3 })
	h.delete("s", id)
	require.NoError(t, m.shutdown())
	h.stateIs(state{Input: 4})
}

// TestTrimmedBodiesOfEntriesJustReadAreAnnouncedAgain: they are deleted between the read and the acquisition, which is refused
// until then.
func TestTrimmedBodiesOfEntriesJustReadAreAnnouncedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	link, opt := h.through(t, h.layout.Keys(0).Slot)
	acquire := func(args [][]byte) bool { return len(args) > 1 && h.isAcquire(args) }
	restore := link.Inject(proxy.Fault{Command: "EVALSHA", Match: acquire, Action: proxy.ReplyError, Error: "OOM injected"})
	streams := h.namesOf(0, "s", 20)
	ids := h.announce(streams...)
	h.opt = opt
	m := h.start("a", nil)
	until(t, "they are read", func() bool { return h.pending(0) == 20 })
	require.NoError(t, link.WaitStruck(context.Background(), "EVALSHA", 1))
	h.delete(streams[0], ids[5:]...)
	restore()
	m.holds(20)
	h.stateIs(state{Input: 20, Pending: 20, Leases: 20, Sessions: 1, Consumers: 1})
	m.awaitAny("entries_gone_total")
	m.awaitCount(15, "tampered_total", "result", "announced_again")
	require.Equal(t, 20, m.notified(api.Added))
	h.announce("next")
	require.Positive(t, m.lease("next", 1).Remaining())
}

// delete deletes entries from the input stream in which a stream is announced.
func (h *harness) delete(stream string, ids ...string) {
	h.t.Helper()
	n, err := h.do(append([]string{"XDEL", h.keysOf(stream).Input}, ids...)...).AsInt64()
	require.NoError(h.t, err)
	require.EqualValues(h.t, len(ids), n)
}

// isAcquire reports whether a script call acquires leases, by its keys: the input stream, the sessions, the token, and then
// leases.
func (h *harness) isAcquire(args [][]byte) bool {
	k := h.layout.Keys(0)
	return len(args) > 6 && string(args[3]) == k.Input && string(args[4]) == k.Sessions && string(args[5]) == k.Token &&
		string(args[6]) != k.Later
}
