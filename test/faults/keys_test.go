package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// holding is a world in which a owns n streams, with a TTL that no test of this file waits for.
func holding(t *testing.T, n int, opts ...engine.Option) (*world, *party) {
	w := newWorld(t)
	a := w.join("a", w.server.ClientOption(), append(withTTL(longTTL), opts...)...)
	w.announce(names(n)...)
	w.eventually(func() bool { return len(a.held()) == n }, "a to own all")
	return w, a
}

// calm checks that an engine in trouble does not spin: what it sends in a second of the server's time is little.
func (w *world) calm() {
	w.t.Helper()
	sent := func() (n int64) {
		stats, err := w.server.CommandStats(context.Background())
		require.NoError(w.t, err)
		for _, name := range []string{"evalsha", "eval", "xreadgroup", "hello", "auth"} {
			n += stats[name].Calls + stats[name].RejectedCalls
		}
		return n
	}
	start, _ := w.serverNow()
	before := sent()
	w.awaitTime(time.Second)
	after := sent()
	end, _ := w.serverNow() // it may have been more than a second
	require.Less(w.t, (after-before)*1000/(end-start), int64(150*len(w.all)), "commands in a second")
}

// stay checks that these leases were never lost.
func stay(t *testing.T, a *party, leases map[string]api.Lease, except ...string) {
	t.Helper()
	for s, l := range leases {
		if !contains(except, s) {
			require.Positive(t, l.Remaining(), s)
			require.NoError(t, l.Context().Err(), s)
			_, told := a.toldOf(l)
			require.False(t, told, s)
		}
	}
}

// awaitTold waits for the Disowned of a lease and checks what it says.
func (w *world) awaitTold(a *party, l api.Lease) {
	w.t.Helper()
	w.eventually(func() bool { _, ok := a.toldOf(l); return ok }, "Disowned of %s", l.Stream())
	x, _ := a.toldOf(l)
	require.ErrorIs(w.t, x.why, api.ErrLeaseLost)
	require.ErrorIs(w.t, x.cause, api.ErrLeaseLost)
	require.Zero(w.t, x.remaining)
}

// Trace: somebody deletes a lease, or the server evicts it. Its owner is told at the next renewal, the stream is
// re-queued and owned again under a greater token. The other leases are not touched.
func TestLeaseDeleted(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 5)
	leases := a.given()
	w.Do("DEL", w.keys.Lease("s-2"))
	w.awaitTold(a, leases["s-2"])
	w.awaitOwned("s-2")
	require.Greater(t, a.given()["s-2"].Token(), leases["s-2"].Token())
	stay(t, a, leases, "s-2")
	w.finish(names(5)...)
}

// Trace: somebody writes another value into a lease. Its owner is told; the entry is re-queued, and the stream is taken
// when the value that is not ours has gone.
func TestLeaseOverwritten(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 3)
	leases := a.given()
	w.Do("SET", w.keys.Lease("s-1"), "somebody 1 1-1", "PX", "500")
	w.awaitTold(a, leases["s-1"])
	w.awaitOwned("s-1")
	stay(t, a, leases, "s-1")
	w.finish(names(3)...)
}

// Trace: somebody deletes the session set. Every session is made again by its next beat. Since nobody can say what else
// has vanished, the partition settles: what is held is renewed and stays, what is free is taken afterwards.
func TestSessionsDeleted(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 5)
	leases := a.given()
	w.Do("DEL", w.keys.Sessions)
	w.eventually(func() bool { return a.heard(api.EventSettlingStarted) }, "settling")
	w.announce("new")
	w.eventually(func() bool { return a.heard(api.EventSettlingEnded) }, "the end of settling")
	w.awaitOwned("new")
	stay(t, a, leases)
	w.finish(append(names(5), "new")...)
}

// Trace: the server's scripts are flushed. They are sent again with the next call of each; nobody notices.
func TestScriptFlush(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 5)
	leases := a.given()
	for range 3 {
		w.Do("SCRIPT", "FLUSH")
		w.announce("new")
		w.awaitOwned("new")
		w.eventually(func() bool { return w.doneBy("new") }, "new to be done")
		w.calm()
	}
	require.False(t, a.heard(api.EventRedisUnreachable))
	stay(t, a, leases)
	w.finish(names(5)...)
}

// Trace: FLUSHALL. All announcements are gone, which nothing can mend. Owners are told; the service goes on with what is
// announced from then on, once it has settled; the number of partitions is on record again.
func TestFlushAll(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 5)
	leases := a.given()
	w.Do("FLUSHALL")
	for _, l := range leases {
		w.awaitTold(a, l)
	}
	w.announce(names(5)...)
	w.awaitOwned(names(5)...)
	for s, l := range a.given() {
		require.Greater(t, l.Token(), leases[s].Token())
	}
	require.Equal(t, "1", w.Text("HGET", w.layout.Meta(), "partitions"))
	require.NoError(t, a.ready())
	w.calm()
	w.finish(names(5)...)
}

// Trace: somebody destroys the group. What is held stays held. The group is made again, beginning at 0, so everything is
// handed out once more, to whoever owns it already: each stream is owned by one at a time, and done in the end.
func TestGroupDestroyed(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 5)
	b := w.join("b", w.server.ClientOption(), withTTL(longTTL)...)
	w.eventually(func() bool { return b.ready() == nil }, "b to be ready")
	leases := a.given()
	w.Do("XGROUP", "DESTROY", w.keys.Input, w.layout.Group())
	w.announce("new")
	w.awaitOwned("new")
	stay(t, a, leases)
	w.finishTwice(append(names(5), "new")...)
}

// Trace: the same, while the only engine has no room for more streams and so does not read. Its owner's Done fails to find
// the entry pending, which brings the group back; before, such an engine never noticed and Done never came back.
func TestGroupDestroyedWhileFull(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 2, engine.WithMaxStreams(2))
	w.Do("XGROUP", "DESTROY", w.keys.Input, w.layout.Group())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l := a.given()["s-0"]
	a.recorder.Look(l)
	err := l.Done(ctx)
	require.NoError(t, ctx.Err(), "Done came back")
	if err != nil {
		require.ErrorIs(t, err, api.ErrLeaseLost)
	}
	w.finishTwice(names(2)...)
}

// Trace: somebody gives entries to a consumer of ours by hand, which no read brings it: one as just read, one as held, and
// one that nobody can read. The engine compares what is pending for it with what it knows, and nothing is left behind.
func TestEntriesClaimedForUsByHand(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 1, engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond}), engine.WithMaxStreams(1))
	w.announce("read", "held")
	odd := w.Text("XADD", w.keys.Input, "*", "other", "field")
	const operator = "operator"
	given, err := w.Try("XREADGROUP", "GROUP", w.layout.Group(), operator, "STREAMS", w.keys.Input, ">").AsXRead()
	require.NoError(t, err)
	require.Len(t, given[w.keys.Input], 3)
	var mine string
	w.eventually(func() bool {
		for _, c := range w.Consumers(w.keys.Input, w.layout.Group()) {
			if c != operator {
				mine = c
			}
		}
		return mine != ""
	}, "the engine's consumer")
	for i, x := range given[w.keys.Input] {
		w.Do("XCLAIM", w.keys.Input, w.layout.Group(), mine, "0", x.ID, "RETRYCOUNT", fmt.Sprint(1+i%2), "JUSTID")
	}
	a.engine.SetMaxStreams(0)
	w.awaitOwned("s-0", "read", "held")
	w.eventually(func() bool { return w.Num("XLEN", w.keys.DeadLetters) == 1 }, "the malformed entry %s to be put away", odd)
	w.eventually(func() bool { return a.logged("pending for this process that it knows nothing of") }, "the log to tell")
	w.Do("DEL", w.keys.DeadLetters)
	w.finish("s-0", "read", "held")
}

// finishTwice is finish where an entry may be handed out twice and be done by the first of its owners.
func (w *world) finishTwice(streams ...string) {
	w.t.Helper()
	w.eventually(func() bool {
		for _, s := range streams {
			w.doneBy(s)
		}
		return w.Num("XLEN", w.keys.Input) == 0 && w.Num("ZCARD", w.keys.Later) == 0
	}, "nothing left to do")
	w.checkOwners()
}

// Trace: the body of an entry is trimmed while it is held. What is owned stays owned until its owner ends it: what is done is
// done, what is released is announced again as it is remembered, and owned again.
func TestBodyDeleted(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 2)
	leases := a.given()
	w.Do("XTRIM", w.keys.Input, "MAXLEN", "0")
	stay(t, a, leases)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.recorder.Look(leases["s-0"])
	require.NoError(t, leases["s-0"].Done(ctx))
	a.recorder.Look(leases["s-1"])
	require.NoError(t, leases["s-1"].Release(ctx))
	w.eventually(func() bool { return w.Num("EXISTS", w.keys.Lease("s-0")) == 0 }, "a free lease")
	w.awaitOwned("s-1")
	require.Greater(t, a.given()["s-1"].Token(), leases["s-1"].Token())
	w.announce("s-0")
	w.awaitOwned(names(2)...)
	w.finish(names(2)...)
}

// Trace: a key of another type takes the place of one of ours while an engine runs and owns streams. Nothing panics or
// spins; Ready or the log says which key it is; once the key is gone, everything is owned and done, nothing lost but what
// was in the key that was overwritten.
func TestWrongTypeWhileRunning(t *testing.T) {
	for name, tc := range map[string]struct {
		key  func(w *world) string
		lost bool // announcements were in it
		// stays: what is held goes on being held
		stays   bool
		unready bool
	}{
		"input stream": {key: func(w *world) string { return w.keys.Input }, lost: true, stays: true, unready: true},
		"sessions":     {key: func(w *world) string { return w.keys.Sessions }, unready: true},
		"later":        {key: func(w *world) string { return w.keys.Later }, unready: true},
		"token":        {key: func(w *world) string { return w.keys.Token }, unready: true},
		"meta":         {key: func(w *world) string { return w.layout.Meta() }, stays: true},
		"dead letters": {key: func(w *world) string { return w.keys.DeadLetters }, stays: true},
		"lease":        {key: func(w *world) string { return w.keys.Lease("s-1") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ttl := shortTTL
			if tc.stays {
				ttl = longTTL
			}
			a := w.join("a", w.server.ClientOption(), withTTL(ttl)...)
			w.announce(names(3)...)
			w.eventually(func() bool { return len(a.held()) == 3 }, "a to own all")
			leases := a.given()
			key := tc.key(w)
			w.Do("DEL", key)
			if name == "lease" {
				w.Do("RPUSH", key, "x")
				w.awaitTold(a, leases["s-1"])
				stay(t, a, leases, "s-1")
			} else {
				w.Do("SET", key, "x")
				if name == "token" {
					w.Do("DEL", key)
					w.Do("RPUSH", key, "x")
				}
			}
			if tc.unready {
				w.eventually(func() bool {
					err := a.ready()
					return err != nil && lease.Permanent(err)
				}, "Ready to tell")
				require.ErrorContains(t, a.ready(), "delete or rename it")
			}
			if !tc.unready || tc.stays {
				w.awaitTime(ttl)
			}
			w.calm()
			if tc.stays {
				stay(t, a, leases)
			}
			w.Do("DEL", key)
			if tc.lost {
				w.announce(names(3)...)
			}
			w.eventually(func() bool { return a.ready() == nil }, "a to be ready")
			w.awaitOwned(names(3)...)
			w.finishTwice(names(3)...)
		})
	}
}

// Trace: the dead-letter stream is of another type, and a malformed announcement should go there. It waits, the log says
// why, and nothing else waits with it: before, every Done of the partition queued behind it for ever.
func TestDeadLettersOfAnotherTypeHoldUpNothingElse(t *testing.T) {
	t.Parallel()
	w, a := holding(t, 5)
	w.Do("SET", w.keys.DeadLetters, "x")
	w.Do("XADD", w.keys.Input, "*", lease.FieldAnnouncement, "not JSON")
	w.announce("behind")
	w.awaitOwned("behind")
	w.eventually(func() bool { return a.logged("WRONGTYPE") }, "the log to tell")
	for _, s := range append(names(5), "behind") {
		w.eventually(func() bool { return w.doneBy(s) }, "%s to be done", s)
	}
	require.EqualValues(t, 1, w.Num("XLEN", w.keys.Input), "what is malformed waits")
	w.calm()
	w.Do("DEL", w.keys.DeadLetters)
	w.eventually(func() bool { return w.Num("XLEN", w.keys.DeadLetters) == 1 }, "the dead letter")
	require.Zero(t, w.Num("XLEN", w.keys.Input))
}
