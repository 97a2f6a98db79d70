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

// TestTrimmedBodiesOfHeldEntriesAreGone: the owners go on, since their leases say so; however they end, nothing hangs,
// nothing is handed out again, and what could not be handed back is counted.
func TestTrimmedBodiesOfHeldEntriesAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	p := w.start("a", nil, engine.WithLeaseTTL(shortTTL))
	w.announce("done", "release", "fail", "snooze", "shutdown")
	var streams []string
	for _, s := range []string{"done", "release", "fail", "snooze", "shutdown"} {
		p.lease(s, 1)
		streams = append(streams, s)
	}
	for p := range w.layout.Partitions() {
		require.NoError(t, w.do("XTRIM", w.layout.Keys(p).Input, "MAXLEN", "0").Error())
	}
	kept := p.metric("renewals_total", "result", "kept")
	until(t, "they are renewed all the same", func() bool { return p.metric("renewals_total", "result", "kept") > kept+10 })
	for _, s := range streams {
		require.Positive(t, p.lease(s, 1).Remaining())
	}
	w.stateIs(state{Pending: 5, Leases: 5, Sessions: 1, Consumers: 1})
	require.NoError(t, p.lease("done", 1).Done(ctx))
	require.Zero(t, p.metric("entries_gone_total"))
	require.NoError(t, p.lease("release", 1).Release(ctx))
	require.NoError(t, p.lease("fail", 1).Fail(ctx, errWork))
	require.NoError(t, p.lease("snooze", 1).Fail(ctx, api.Snooze(time.Hour)))
	p.awaitCount(3, "entries_gone_total")
	w.stateIs(state{Pending: 1, Leases: 1, Sessions: 1, Consumers: 1})
	require.NoError(t, p.shutdown())
	w.stateIs(state{})
	require.Equal(t, 5, p.told(api.Added))
	require.Zero(t, p.told(api.Disowned))
}

// TestTrimmedBodiesOfParkedEntriesAreGone: their turn comes, there is nothing to hand out, and the one behind them has it.
func TestTrimmedBodiesOfParkedEntriesAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	p := w.start("a", nil)
	ids := w.announce("s", "s", "s", "s")
	l := p.lease("s", 1)
	until(t, "the others are parked", func() bool { return p.engine.Stats().Parked == 3 })
	w.delete("s", ids[1], ids[2])
	require.NoError(t, l.Done(ctx))
	l = p.lease("s", 2)
	require.Equal(t, ids[3], l.Entry())
	p.awaitCount(2, "entries_gone_total")
	w.stateIs(state{Input: 1, Pending: 1, Leases: 1, Sessions: 1, Consumers: 1})
	require.Zero(t, p.engine.Stats().Parked)

	// Gone while it waits for a stream that another process has.
	id := w.announce("s")[0]
	until(t, "it is parked", func() bool { return p.engine.Stats().Parked == 1 })
	w.delete("s", id)
	require.NoError(t, p.shutdown())
	w.stateIs(state{Input: 1})
}

// TestTrimmedBodiesOfEntriesJustReadAreGone: they are deleted between the read and the acquisition, which is refused for
// as long as that takes.
func TestTrimmedBodiesOfEntriesJustReadAreGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link, opt := w.through(t, w.layout.Keys(0).Slot)
	acquire := func(args [][]byte) bool { return len(args) > 1 && w.isAcquire(args) }
	restore := link.Inject(proxy.Fault{Command: "EVALSHA", Match: acquire, Action: proxy.ReplyError, Error: "OOM injected"})
	streams := w.namesOf(0, "s", 20)
	ids := w.announce(streams...)
	w.opt = opt
	p := w.start("a", nil)
	until(t, "they are read", func() bool { return w.pending(0) == 20 })
	require.NoError(t, link.WaitStruck(context.Background(), "EVALSHA", 1))
	w.delete(streams[0], ids[5:]...)
	restore()
	until(t, "those that are left are held", func() bool { return p.engine.Stats().Held == 5 })
	w.stateIs(state{Input: 5, Pending: 5, Leases: 5, Sessions: 1, Consumers: 1})
	p.awaitCount(15, "entries_gone_total")
	require.Equal(t, 5, p.told(api.Added))
	w.announce("next")
	require.Positive(t, p.lease("next", 1).Remaining())
}

// delete deletes entries from the input stream that a stream is announced in.
func (w *world) delete(stream string, ids ...string) {
	w.t.Helper()
	n, err := w.do(append([]string{"XDEL", w.keysOf(stream).Input}, ids...)...).AsInt64()
	require.NoError(w.t, err)
	require.EqualValues(w.t, len(ids), n)
}

// isAcquire tells the script that takes leases from the others by its keys: the input stream, the sessions, the token, and
// leases behind them.
func (w *world) isAcquire(args [][]byte) bool {
	k := w.layout.Keys(0)
	return len(args) > 6 && string(args[3]) == k.Input && string(args[4]) == k.Sessions && string(args[5]) == k.Token &&
		string(args[6]) != k.Later
}
