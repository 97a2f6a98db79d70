package faults

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/servers"
)

// Trace: Redis restarts and has its data. It is another server all the same, so the partition settles: what is held is
// held on, what is announced meanwhile is taken after it.
func TestRestartWithData(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 50)
	leases := a.given()
	require.NoError(t, h.server.Restart(context.Background(), true))
	h.eventually(func() bool { return a.saw(api.EventSettlingStarted) }, "settling")
	h.eventually(func() bool { return h.tryAnnounce("new") }, "an announcement")
	h.eventually(func() bool { return a.saw(api.EventSettlingEnded) }, "the end of settling")
	h.awaitOwned("new")
	requireHeld(t, a, leases)
	h.finish(append(names(50), "new")...)
}

func (h *harness) tryAnnounce(stream string) bool {
	text, err := lease.EncodeAnnouncement(stream, nil)
	require.NoError(h.T, err)
	return h.Try("XADD", h.keys.Input, "*", lease.FieldAnnouncement, text).Error() == nil
}

// Trace: Redis restarts and has forgotten everything. Owners are told at the next renewal; what is announced afterwards
// is taken when the partition has settled, under greater tokens.
func TestRestartWithoutData(t *testing.T) {
	t.Parallel()
	h, a := newHolding(t, 5)
	leases := a.given()
	require.NoError(t, h.server.Restart(context.Background(), false))
	for _, l := range leases {
		h.awaitDisowned(a, l)
	}
	for _, s := range names(5) {
		h.eventually(func() bool { return h.tryAnnounce(s) }, "an announcement")
	}
	h.awaitOwned(names(5)...)
	for s, l := range a.given() {
		require.Greater(t, l.Token(), leases[s].Token())
	}
	h.finish(names(5)...)
}

// keepOld makes restarts begin from the last SAVE instead of from nothing.
func keepOld() servers.Option { return servers.Args("--dbfilename", "old.rdb") }

// Trace: Redis restarts and has forgotten the last writes: leases, and entries that were read or are done. Leases whose
// entries it still knows as pending are set again while the partition settles (verify); the others' owners are told. What
// was done may be handed out again, never to two at once, and everything comes to an end.
func TestRestartFromAnOldSnapshot(t *testing.T) {
	t.Parallel()
	h := newHarness(t, keepOld())
	a := h.join("a", h.server.ClientOption(), withTTL(longTTL)...)
	b := h.join("b", h.server.ClientOption(), withTTL(longTTL)...)
	h.eventually(func() bool { return a.ready() == nil && b.ready() == nil }, "both to be ready")
	h.announce(names(20)...)
	h.awaitOwned(names(20)...)
	h.Do("DEL", h.keys.Lease("s-3"), h.keys.Lease("s-4")) // as if taken after the snapshot
	h.Do("SAVE")
	h.announce("late")
	h.awaitOwned("late")
	h.eventually(func() bool { return h.doneBy("s-0") }, "s-0 to be done")
	before := map[string]api.Lease{}
	for _, m := range h.fleet {
		for s, l := range m.given() {
			before[s] = l
		}
	}
	require.NoError(t, h.server.Kill())
	require.NoError(t, h.server.Restart(context.Background(), false))
	h.eventually(func() bool { return a.saw(api.EventSettlingEnded) && b.saw(api.EventSettlingEnded) }, "the end of settling")
	for _, s := range names(20)[5:] {
		require.Positive(t, before[s].Remaining(), s)
	}
	require.Zero(t, before["late"].Remaining(), "nobody may hold what the server does not know")
	// s-0 is pending for an owner that is done with it.
	h.eventually(func() bool {
		for _, s := range names(20) {
			h.doneBy(s)
		}
		return h.Num("XLEN", h.keys.Input) <= 1
	}, "nothing left but s-0")
	h.checkOwners()
}

// Trace: Redis runs out of memory (noeviction). What is held is renewed and stays; nothing new is taken, and Ready and the
// log say why; nothing is lost. When there is memory again, all goes on by itself.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.join("a", h.server.ClientOption(), withTTL(longTTL)...)
	h.announce(names(20)...)
	h.eventually(func() bool { return len(a.held()) == 20 }, "a to own all")
	leases := a.given()
	h.Do("CONFIG", "SET", "maxmemory", "1") // with noeviction, the default
	require.ErrorContains(t, h.Try("SET", "junk", "x").Error(), "OOM")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.recorder.Look(leases["s-0"])
	require.NoError(t, leases["s-0"].Done(ctx), "done needs no memory")
	a.recorder.Look(leases["s-2"])
	require.NoError(t, leases["s-2"].Release(ctx), "giving up is let through")
	h.awaitTime(longTTL)
	h.eventually(func() bool { return a.ready() != nil }, "Ready to tell")
	require.ErrorContains(t, a.ready(), "the server is at maxmemory")
	h.eventually(func() bool { return a.log.Has("the server is at maxmemory") }, "the log to tell")
	require.Nil(t, h.owner("s-2"), "nothing is taken")
	requireHeld(t, a, leases, "s-0", "s-2")
	h.requireCalm()
	h.Do("CONFIG", "SET", "maxmemory", "0")
	h.eventually(func() bool { return a.ready() == nil }, "a to be ready")
	h.awaitOwned(names(20)[1:]...)
	h.finish(names(20)[1:]...)
}

// Trace: the server is a replica, which refuses writes, and becomes a master later. The engine waits for that, calmly,
// and is not ready meanwhile; the log says what is wrong.
func TestReadOnlyReplica(t *testing.T) {
	master := servers.New(t)
	h := newHarness(t, servers.ReplicaOf(master))
	a := h.join("a", h.server.ClientOption())
	h.eventually(func() bool { return a.log.Has("point it at the master") }, "the log to tell")
	require.ErrorIs(t, a.ready(), api.ErrNotReady)
	h.requireCalm()
	require.NoError(t, h.server.Promote(context.Background()))
	h.eventually(func() bool { return a.ready() == nil }, "a to be ready")
	h.announce(names(3)...)
	h.awaitOwned(names(3)...)
	h.finish(names(3)...)
}

// Trace: the master is demoted while streams are owned. Beats are refused, so every lease is lost before its deadline; as
// soon as the server takes writes again all goes on.
func TestMasterDemoted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	other := servers.New(t)
	a := h.join("a", h.server.ClientOption())
	h.announce(names(3)...)
	h.awaitOwned(names(3)...)
	leases := a.given()
	h.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(other.Port()))
	for _, l := range leases {
		h.awaitDisowned(a, l)
	}
	h.eventually(func() bool { return a.ready() != nil && strings.Contains(a.ready().Error(), "point it at the master") }, "Ready to tell")
	h.requireCalm()
	require.NoError(t, h.server.Promote(context.Background()))
	h.announceUntilAccepted(names(3)...) // the other master had none of them
	h.awaitOwned(names(3)...)
	h.finishTwice(names(3)...)
}

func (h *harness) announceUntilAccepted(streams ...string) {
	for _, s := range streams {
		h.eventually(func() bool { return h.tryAnnounce(s) }, "an announcement")
	}
}

// runToEnd starts an engine that cannot start, and returns what Run says.
func (h *harness) runToEnd(opt rueidis.ClientOption, opts ...engine.Option) error {
	h.T.Helper()
	m := h.newMember("refused")
	e, err := engine.Open(opt, service, m.options(opts)...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = e.Run(ctx, m)
	require.NoError(h.T, ctx.Err(), "Run came back by itself; log:\n%s", m.log.String())
	return err
}

// Trace: the service has another number of partitions, or a format of another version. The engine does not start, and
// changes nothing.
func TestAnotherServiceThanExpected(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.announce("s")
	a := h.join("a", h.server.ClientOption(), withTTL(longTTL)...)
	h.awaitOwned("s")
	// The turn to scan comes and goes with the one that runs.
	lasting := func() []string {
		return slices.DeleteFunc(h.allKeys(), func(key string) bool { return key == h.keys.Scan })
	}
	keys := lasting()
	err := h.runToEnd(h.server.ClientOption(), engine.WithPartitions(3))
	require.ErrorIs(t, err, api.ErrPartitionMismatch)
	require.ErrorContains(t, err, "WithPartitions(1)")
	require.ElementsMatch(t, keys, lasting())

	h.Do("HSET", h.layout.Meta(), "format", "99")
	err = h.runToEnd(h.server.ClientOption())
	require.ErrorIs(t, err, api.ErrFormat)
	require.ErrorContains(t, err, "99")
	require.NoError(t, a.ready(), "who has started goes on until it asks again")
	h.Do("HSET", h.layout.Meta(), "format", "1")
	h.finish("s")
}

// Trace: the password is missing or wrong. The engine is not made; the error says what to do.
func TestPasswords(t *testing.T) {
	h := newHarness(t, servers.Password("right"))
	for name, tc := range map[string]struct{ password, code, remedy string }{
		"missing": {"", "NOAUTH", "give the client a user name and a password"},
		"wrong":   {"wrong", "WRONGPASS", "check the client's user name and password"},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.inSubtest(t)
			opt := h.server.ClientOption()
			opt.Password = tc.password
			err := h.runToEnd(opt)
			require.ErrorContains(t, err, tc.code)
			require.ErrorContains(t, err, tc.remedy)
		})
	}
}

// Trace: keys of another type stand where ours belong before the first start. The engine does not start, and the error
// names the key. (A dead-letter stream is looked at when something goes there.)
func TestStartOnWrongTypes(t *testing.T) {
	h := newHarness(t)
	for name, key := range map[string]string{
		"input": h.keys.Input, "sessions": h.keys.Sessions, "later": h.keys.Later, "token": h.keys.Token, "meta": h.layout.Meta(),
	} {
		t.Run(name, func(t *testing.T) {
			h := h.inSubtest(t)
			h.Do("DEL", key)
			h.Do("SADD", key, "x")
			defer h.Do("DEL", key)
			err := h.runToEnd(h.server.ClientOption())
			require.ErrorContains(t, err, "WRONGTYPE")
			require.ErrorContains(t, err, key)
			require.ErrorContains(t, err, "delete or rename it")
			require.EqualValues(t, 1, h.Num("SCARD", key))
		})
	}
}

// commandsOf are the commands that the scripts call.
func commandsOf(t *testing.T) (out []string) {
	call := regexp.MustCompile(`redis\.p?call\('([A-Z]+)'(?:, '([A-Z]+)')?`)
	sub := []string{"XGROUP", "XINFO", "CLUSTER"}
	for _, s := range lease.Scripts() {
		for _, m := range call.FindAllStringSubmatch(s.Body(), -1) {
			name := strings.ToLower(m[1])
			if slices.Contains(sub, m[1]) {
				name += " " + strings.ToLower(m[2])
			}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	require.Greater(t, len(out), 20)
	slices.Sort(out)
	return out
}

// notNeeded are called by scripts in cases that do not come up at a start, or do without.
var notNeeded = map[string]string{
	"cluster myid": "asked only where INFO is refused",
	"info":         "CLUSTER MYID does as well; both are refused in TestNeitherInfoNorMyid",
	"exists":       "asked only beside consumers of another library",
}

// Trace: the user of the engine lacks one of the rights that it needs, each of them in turn. The engine does not start,
// and the error names the command.
func TestEachMissingRight(t *testing.T) {
	h := newHarness(t)
	all := append(commandsOf(t), "evalsha", "eval", "xreadgroup", "hsetnx", "hmget", "xgroup createconsumer")
	for _, command := range all {
		if notNeeded[command] != "" {
			continue
		}
		t.Run(command, func(t *testing.T) {
			h := h.inSubtest(t)
			h.Do("SCRIPT", "FLUSH") // else nobody needs EVAL
			h.user("weak", "-"+strings.Replace(command, " ", "|", 1))
			err := h.runToEnd(h.asUser("weak"))
			require.Error(t, err)
			require.Contains(t, strings.ToLower(err.Error()), command)
			require.ErrorContains(t, err, "grant")
		})
	}
}

func TestNeitherInfoNorMyid(t *testing.T) {
	h := newHarness(t)
	h.user("weak", "-info")
	m := h.newMember("p")
	e, err := engine.Open(h.asUser("weak"), service, m.options(nil)...)
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(context.Background()))
	h.user("weak", "-info", "-cluster|myid")
	err = h.runToEnd(h.asUser("weak"))
	require.ErrorContains(t, err, "NOSERVERID")
	require.ErrorContains(t, err, "WithSettle(false)")
	a := h.join("a", h.asUser("weak"), engine.WithSettle(false))
	h.announce("s")
	h.awaitOwned("s")
	require.NoError(t, a.ready())
	h.finish("s")
}

// user makes a user that may do everything but what changes take away.
func (h *harness) user(name string, changes ...string) {
	h.T.Helper()
	h.Do(append([]string{"ACL", "SETUSER", name, "reset", "on", "nopass", "~*", "&*", "+@all"}, changes...)...)
}

func (h *harness) asUser(user string) rueidis.ClientOption {
	opt := h.server.ClientOption()
	opt.Username, opt.Password = user, "any"
	return opt
}

// Trace: a right is taken away while streams are owned, and given back later. Nothing lies: either what is held is renewed,
// or its owner is told in time. With the right back all goes on; nothing is lost.
func TestRightTakenAwayWhileRunning(t *testing.T) {
	for _, command := range []string{"evalsha", "get", "mget", "pexpire", "pexpireat", "zadd", "xack", "xadd", "xdel", "xpending", "xclaim", "xreadgroup", "set", "time"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.user("weak")
			ttl := shortTTL
			if command == "xdel" {
				ttl = longTTL // what is lost is given up, each with a copy
			}
			a := h.join("a", h.asUser("weak"), withTTL(ttl)...)
			h.announce(names(5)...)
			h.awaitOwned(names(5)...)
			h.Do("ACL", "SETUSER", "weak", "-"+command)
			h.announce("new")
			if l, ok := a.engine.Lease("s-0"); ok {
				a.recorder.Look(l)
				ctx, cancel := context.WithTimeout(context.Background(), shortTTL)
				_ = l.Release(ctx)
				cancel()
			}
			h.awaitTime(shortTTL + shortTTL/2)
			h.requireCalm()
			for l := range a.engine.Leases() {
				if l.Remaining() > 0 {
					require.Contains(t, h.Text("GET", h.keys.Lease(l.Stream())), fmt.Sprint(l.Token()))
				}
			}
			h.Do("ACL", "SETUSER", "weak", "+"+command)
			h.eventually(func() bool { return a.ready() == nil }, "a to be ready")
			h.awaitOwned(append(names(5), "new")...)
			if command == "xdel" {
				// What was given up without it is a copy in the stream, and acknowledged: it takes room and nothing else.
				h.eventually(func() bool { return h.doneBy("s-0") }, "s-0 to be done")
				require.EqualValues(t, 6, h.Num("XLEN", h.keys.Input))
				h.Do("XTRIM", h.keys.Input, "MAXLEN", "5")
			}
			h.finishTwice(append(names(5), "new")...)
		})
	}
}

// Trace: the user is deleted, which closes its connections, and made again. Leases are lost before their deadlines; then
// all goes on.
func TestUserDeleted(t *testing.T) {
	h := newHarness(t)
	h.user("weak")
	a := h.join("a", h.asUser("weak"))
	h.announce(names(3)...)
	h.awaitOwned(names(3)...)
	leases := a.given()
	h.Do("ACL", "DELUSER", "weak")
	for _, l := range leases {
		h.awaitDisowned(a, l)
	}
	h.eventually(func() bool { return a.ready() != nil && strings.Contains(a.ready().Error(), "WRONGPASS") }, "Ready to tell")
	h.requireCalm()
	h.user("weak")
	h.awaitOwned(names(3)...)
	h.finish(names(3)...)
}
