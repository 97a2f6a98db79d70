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

// TestTrimmedBodiesOfHeldEntriesAreAnnouncedAgain: the owners go on, since their leases say so; what is done is done, and
// whatever else ends is announced again as it is remembered. A drain lost it.
func TestTrimmedBodiesOfHeldEntriesAreAnnouncedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	p := w.start("a", nil, engine.WithLeaseTTL(shortTTL))
	w.announce("done", "release", "fail", "snooze", "shutdown")
	ends := map[string]func(l api.Lease) error{
		"done":    func(l api.Lease) error { return l.Done(ctx) },
		"release": func(l api.Lease) error { return l.Release(ctx) },
		"fail":    func(l api.Lease) error { return l.Fail(ctx, errWork) },
		"snooze":  func(l api.Lease) error { return l.Fail(ctx, api.Snooze(time.Hour)) },
	}
	for _, s := range []string{"done", "release", "fail", "snooze", "shutdown"} {
		p.lease(s, 1)
	}
	w.trim()
	kept := p.metric("renewals_total", "result", "kept")
	until(t, "they are renewed all the same", func() bool { return p.metric("renewals_total", "result", "kept") > kept+10 })
	w.stateIs(state{Pending: 5, Leases: 5, Sessions: 1, Consumers: 1})
	// Of those that end, one has the rest compared: these are disowned, and announced again, where that comes first.
	for _, s := range []string{"done", "release", "fail", "snooze"} {
		if err := ends[s](p.lease(s, 1)); err != nil {
			require.ErrorIs(t, err, api.ErrReannounced)
		}
	}
	require.NoError(t, p.shutdown())
	w.handedBack(4)
	require.Positive(t, p.metric("tampered_total", "result", "announced_again"))
	require.Zero(t, p.metric("tampered_total", "result", "lost"))
}

// TestTrimmedBodiesOfParkedEntriesAreAnnouncedAgain: their turn comes, there is nothing to hand out, and the one behind them
// has it; they come after that, as they are remembered.
func TestTrimmedBodiesOfParkedEntriesAreAnnouncedAgain(t *testing.T) {
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
	p.awaitAny("entries_gone_total")
	w.stateIs(state{Input: 3, Pending: 3, Leases: 1, Sessions: 1, Consumers: 1})
	until(t, "they are parked again", func() bool { return p.engine.Stats().Parked == 2 })

	// Gone while it waits for a stream that is held.
	id := w.announce("s")[0]
	until(t, "it is parked", func() bool { return p.engine.Stats().Parked == 3 })
	w.delete("s", id)
	require.NoError(t, p.shutdown())
	w.stateIs(state{Input: 4})
}

// TestTrimmedBodiesOfEntriesJustReadAreAnnouncedAgain: they are deleted between the read and the acquisition, which is refused
// for as long as that takes.
func TestTrimmedBodiesOfEntriesJustReadAreAnnouncedAgain(t *testing.T) {
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
	p.holds(20)
	w.stateIs(state{Input: 20, Pending: 20, Leases: 20, Sessions: 1, Consumers: 1})
	p.awaitAny("entries_gone_total")
	p.awaitCount(15, "tampered_total", "result", "announced_again")
	require.Equal(t, 20, p.told(api.Added))
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
