package faults

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// newHolding makes a harness in which member a owns n streams, with a TTL that no test of this file waits for.
func newHolding(t *testing.T, n int, opts ...engine.Option) (*harness, *member) {
	h := newHarness(t)
	a := h.join("a", h.server.ClientOption(), append(withTTL(longTTL), opts...)...)
	h.announce(names(n)...)
	h.eventually(func() bool { return len(a.held()) == n }, "a to own all")
	return h, a
}

// requireCalm checks that an engine in trouble does not spin: it sends few commands in a second of the server's time.
func (h *harness) requireCalm() {
	h.T.Helper()
	sent := func() (n int64) {
		stats, err := h.server.CommandStats(context.Background())
		require.NoError(h.T, err)
		for _, name := range []string{"evalsha", "eval", "xreadgroup", "hello", "auth"} {
			n += stats[name].Calls + stats[name].RejectedCalls
		}
		return n
	}
	start, _ := h.serverNow()
	before := sent()
	h.awaitTime(time.Second)
	after := sent()
	end, _ := h.serverNow() // more than a second may have passed
	require.Less(h.T, (after-before)*1000/(end-start), int64(150*len(h.fleet)), "commands in a second")
}

// requireHeld checks that these leases were never lost.
func requireHeld(t *testing.T, a *member, leases map[string]api.Lease, except ...string) {
	t.Helper()
	for s, l := range leases {
		if !slices.Contains(except, s) {
			require.Positive(t, l.Remaining(), s)
			require.NoError(t, l.Context().Err(), s)
			_, told := a.disowning(l)
			require.False(t, told, s)
		}
	}
}

// awaitDisowned waits for the Disowned of a lease and checks its errors.
func (h *harness) awaitDisowned(a *member, l api.Lease) {
	h.T.Helper()
	h.eventually(func() bool { _, ok := a.disowning(l); return ok }, "Disowned of %s", l.Stream())
	x, _ := a.disowning(l)
	require.ErrorIs(h.T, x.why, api.ErrLeaseLost)
	require.ErrorIs(h.T, x.cause, api.ErrLeaseLost)
	require.Zero(h.T, x.remaining)
}

// Trace: somebody deletes a lease, or the server evicts it. Its owner loses it at the next renewal. The stream is requeued, and
// owned again under a greater token. The other leases are not affected.
func TestLeaseDeleted(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 5)
	leases := a.given()
	h.Do("DEL", h.keys.Lease("s-2"))
	h.awaitDisowned(a, leases["s-2"])
	h.awaitOwned("s-2")
	require.Greater(t, a.given()["s-2"].Token(), leases["s-2"].Token())
	requireHeld(t, a, leases, "s-2")
	h.finish(names(5)...)
}

// Trace: somebody overwrites a lease. Its owner loses it. The entry is requeued, and the stream is taken once the foreign value
// is gone.
func TestLeaseOverwritten(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 3)
	leases := a.given()
	h.Do("SET", h.keys.Lease("s-1"), "somebody 1 1-1", "PX", "500")
	h.awaitDisowned(a, leases["s-1"])
	h.awaitOwned("s-1")
	requireHeld(t, a, leases, "s-1")
	h.finish(names(3)...)
}

// Trace: somebody deletes the session set. The next beat of every session creates it again. Since anything else may have vanished,
// too, the partition settles: held streams are renewed and stay, free ones are taken afterwards.
func TestSessionsDeleted(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 5)
	leases := a.given()
	h.Do("DEL", h.keys.Sessions)
	h.eventually(func() bool { return a.saw(api.EventSettlingStarted) }, "settling")
	h.announce("new")
	h.eventually(func() bool { return a.saw(api.EventSettlingEnded) }, "the end of settling")
	h.awaitOwned("new")
	requireHeld(t, a, leases)
	h.finish(append(names(5), "new")...)
}

// Trace: the server's scripts are flushed. Each is sent again with its next call, and nobody notices.
func TestScriptFlush(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 5)
	leases := a.given()
	for range 3 {
		h.Do("SCRIPT", "FLUSH")
		h.announce("new")
		h.awaitOwned("new")
		h.eventually(func() bool { return h.doneBy("new") }, "new to be done")
		h.requireCalm()
	}
	require.False(t, a.saw(api.EventRedisUnreachable))
	requireHeld(t, a, leases)
	h.finish(names(5)...)
}

// Trace: FLUSHALL. All announcements are lost for good. The owners lose their streams. Once it has settled, the service works on
// new announcements, and the number of partitions is on record again.
func TestFlushAll(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 5)
	leases := a.given()
	h.Do("FLUSHALL")
	for _, l := range leases {
		h.awaitDisowned(a, l)
	}
	h.announce(names(5)...)
	h.awaitOwned(names(5)...)
	for s, l := range a.given() {
		require.Greater(t, l.Token(), leases[s].Token())
	}
	require.Equal(t, "1", h.Text("HGET", h.layout.Meta(), "partitions"))
	require.NoError(t, a.ready())
	h.requireCalm()
	h.finish(names(5)...)
}

// Trace: somebody destroys the group. What is held stays held. The group is created again, from the start of the stream, so every
// entry is delivered again and goes to the owner of its stream: each stream has one owner at a time, and is done in the end.
func TestGroupDestroyed(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 5)
	b := h.join("b", h.server.ClientOption(), withTTL(longTTL)...)
	h.eventually(func() bool { return b.ready() == nil }, "b to be ready")
	leases := a.given()
	h.Do("XGROUP", "DESTROY", h.keys.Input, h.layout.Group())
	h.announce("new")
	h.awaitOwned("new")
	requireHeld(t, a, leases)
	h.finishTwice(append(names(5), "new")...)
}

// Trace: the same, while the only engine is full and therefore does not read. A Done does not find its entry pending, which makes
// the engine create the group again. Such an engine used not to notice, and Done never returned.
func TestGroupDestroyedWhileFull(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 2, engine.WithMaxStreams(2))
	h.Do("XGROUP", "DESTROY", h.keys.Input, h.layout.Group())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l := a.given()["s-0"]
	a.recorder.Look(l)
	err := l.Done(ctx)
	require.NoError(t, ctx.Err(), "Done returned")
	if err != nil {
		require.ErrorIs(t, err, api.ErrLeaseLost)
	}
	h.finishTwice(names(2)...)
}

// Trace: somebody claims entries by hand for a consumer of ours, which no read delivers to it: one as just read, one as held, and
// a malformed one. The engine compares what is pending for it with what it knows, and leaves nothing behind.
func TestEntriesClaimedForUsByHand(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 1, engine.WithRecovery(scan.Config{Interval: 200 * time.Millisecond}), engine.WithMaxStreams(1))
	h.announce("read", "held")
	odd := h.Text("XADD", h.keys.Input, "*", "other", "field")
	const operator = "operator"
	given, err := h.Try("XREADGROUP", "GROUP", h.layout.Group(), operator, "STREAMS", h.keys.Input, ">").AsXRead()
	require.NoError(t, err)
	require.Len(t, given[h.keys.Input], 3)
	var mine string
	h.eventually(func() bool {
		for _, c := range h.Consumers(h.keys.Input, h.layout.Group()) {
			if c != operator {
				mine = c
			}
		}
		return mine != ""
	}, "the engine's consumer")
	for i, x := range given[h.keys.Input] {
		h.Do("XCLAIM", h.keys.Input, h.layout.Group(), mine, "0", x.ID, "RETRYCOUNT", fmt.Sprint(1+i%2), "JUSTID")
	}
	a.engine.SetMaxStreams(0)
	h.awaitOwned("s-0", "read", "held")
	h.eventually(func() bool { return h.Num("XLEN", h.keys.DeadLetters) == 1 }, "the malformed entry %s to be dead-lettered", odd)
	h.eventually(func() bool { return a.log.Has("unknown to this process were pending for it") }, "the log to say so")
	h.Do("DEL", h.keys.DeadLetters)
	h.finish("s-0", "read", "held")
}

// finishTwice is finish for entries that may be delivered twice and ended by the first of their owners.
func (h *harness) finishTwice(streams ...string) {
	h.T.Helper()
	h.eventually(func() bool {
		for _, s := range streams {
			h.doneBy(s)
		}
		return h.Num("XLEN", h.keys.Input) == 0 && h.Num("ZCARD", h.keys.Later) == 0
	}, "nothing left to do")
	h.checkOwners()
}

// Trace: the body of an entry is trimmed while its stream is held. The stream stays owned until its owner ends it: Done ends it for
// good, and what is released is announced again from memory, and owned again.
func TestBodyDeleted(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 2)
	leases := a.given()
	h.Do("XTRIM", h.keys.Input, "MAXLEN", "0")
	requireHeld(t, a, leases)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.recorder.Look(leases["s-0"])
	require.NoError(t, leases["s-0"].Done(ctx))
	a.recorder.Look(leases["s-1"])
	require.NoError(t, leases["s-1"].Release(ctx))
	h.eventually(func() bool { return h.Num("EXISTS", h.keys.Lease("s-0")) == 0 }, "a free lease")
	h.awaitOwned("s-1")
	require.Greater(t, a.given()["s-1"].Token(), leases["s-1"].Token())
	h.announce("s-0")
	h.awaitOwned(names(2)...)
	h.finish(names(2)...)
}

// Trace: a key of another type replaces one of ours while an engine owns streams. Nothing panics or spins, and Ready or the log
// names the key. Once the key is gone everything is owned and done. Nothing is lost except what was in the overwritten key.
func TestWrongTypeWhileRunning(t *testing.T) {
	for name, tc := range map[string]struct {
		key  func(h *harness) string
		lost bool // it contained announcements
		// stays: held streams stay held
		stays   bool
		unready bool
	}{
		"input stream": {key: func(h *harness) string { return h.keys.Input }, lost: true, stays: true, unready: true},
		"sessions":     {key: func(h *harness) string { return h.keys.Sessions }, unready: true},
		"later":        {key: func(h *harness) string { return h.keys.Later }, unready: true},
		"token":        {key: func(h *harness) string { return h.keys.Token }, unready: true},
		"meta":         {key: func(h *harness) string { return h.layout.Meta() }, stays: true},
		"dead letters": {key: func(h *harness) string { return h.keys.DeadLetters }, stays: true},
		"lease":        {key: func(h *harness) string { return h.keys.Lease("s-1") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			ttl := shortTTL
			if tc.stays {
				ttl = longTTL
			}
			a := h.join("a", h.server.ClientOption(), withTTL(ttl)...)
			h.announce(names(3)...)
			h.eventually(func() bool { return len(a.held()) == 3 }, "a to own all")
			leases := a.given()
			key := tc.key(h)
			h.Do("DEL", key)
			if name == "lease" {
				h.Do("RPUSH", key, "x")
				h.awaitDisowned(a, leases["s-1"])
				requireHeld(t, a, leases, "s-1")
			} else {
				h.Do("SET", key, "x")
				if name == "token" {
					h.Do("DEL", key)
					h.Do("RPUSH", key, "x")
				}
			}
			if tc.unready {
				h.eventually(func() bool {
					err := a.ready()
					return err != nil && !lease.Retryable(err)
				}, "Ready to say so")
				require.ErrorContains(t, a.ready(), "delete or rename it")
			}
			if !tc.unready || tc.stays {
				h.awaitTime(ttl)
			}
			h.requireCalm()
			if tc.stays {
				requireHeld(t, a, leases)
			}
			h.Do("DEL", key)
			if tc.lost {
				h.announce(names(3)...)
			}
			h.eventually(func() bool { return a.ready() == nil }, "a to be ready")
			h.awaitOwned(names(3)...)
			h.finishTwice(names(3)...)
		})
	}
}

// Trace: the dead-letter stream has another type, and a malformed announcement should go there. It waits, the log says why, and
// nothing else waits with it. Every Done of the partition used to queue behind it forever.
func TestDeadLettersOfAnotherTypeBlockNothingElse(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 5)
	h.Do("SET", h.keys.DeadLetters, "x")
	h.Do("XADD", h.keys.Input, "*", lease.FieldAnnouncement, "not JSON")
	h.announce("behind")
	h.awaitOwned("behind")
	h.eventually(func() bool { return a.log.Has("WRONGTYPE") }, "the log to say so")
	for _, s := range append(names(5), "behind") {
		h.eventually(func() bool { return h.doneBy(s) }, "%s to be done", s)
	}
	require.EqualValues(t, 1, h.Num("XLEN", h.keys.Input), "the malformed entry waits")
	h.requireCalm()
	h.Do("DEL", h.keys.DeadLetters)
	h.eventually(func() bool { return h.Num("XLEN", h.keys.DeadLetters) == 1 }, "the dead letter")
	require.Zero(t, h.Num("XLEN", h.keys.Input))
}
