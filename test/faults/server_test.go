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

// Trace: Redis restarts and has its data. It counts as another server, so the partition settles: what is held stays held, and
// what is announced meanwhile is taken afterwards.
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

// Trace: Redis restarts and has forgotten everything. Owners lose their streams at the next renewal. New announcements are taken
// once the partition has settled, under greater tokens.
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

// keepOld makes the server restart from its last SAVE instead of empty.
func keepOld() servers.Option { return servers.Args("--dbfilename", "old.rdb") }

// Trace: Redis restarts and has forgotten the last writes: leases, and entries that were read or done. Leases whose entries are
// still pending are set again while the partition settles (verify); the owners of the others lose them. Streams that were done
// may be handed out again, never to two owners at once, and everything is done in the end.
func TestRestartFromAnOldSnapshot(t *testing.T) {
	t.Parallel()
	h := newHarness(t, keepOld())
	a := h.join("a", h.server.ClientOption(), withTTL(longTTL)...)
	b := h.join("b", h.server.ClientOption(), withTTL(longTTL)...)
	h.eventually(func() bool { return a.ready() == nil && b.ready() == nil }, "both to be ready")
	h.announce(names(20)...)
	h.awaitOwned(names(20)...)
	h.Do("DEL", h.keys.Lease("s-3"), h.keys.Lease("s-4")) // as if acquired after the snapshot
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
	require.Zero(t, before["late"].Remaining(), "nobody may hold a stream that the server does not know")
	// s-0 is pending for an owner that has ended it.
	h.eventually(func() bool {
		for _, s := range names(20) {
			h.doneBy(s)
		}
		return h.Num("XLEN", h.keys.Input) <= 1
	}, "nothing left but s-0")
	h.checkOwners()
}

// Trace: Redis runs out of memory (noeviction). Held streams are renewed and stay; nothing new is taken, and Ready and the log say
// why. Nothing is lost. When there is memory again everything resumes by itself.
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
	require.NoError(t, leases["s-2"].Release(ctx), "a release is allowed")
	h.awaitTime(longTTL)
	h.eventually(func() bool { return a.ready() != nil }, "Ready to say so")
	require.ErrorContains(t, a.ready(), "the server is at maxmemory")
	h.eventually(func() bool { return a.log.Has("the server is at maxmemory") }, "the log to say so")
	require.Nil(t, h.owner("s-2"), "nothing is taken")
	requireHeld(t, a, leases, "s-0", "s-2")
	h.requireCalm()
	h.Do("CONFIG", "SET", "maxmemory", "0")
	h.eventually(func() bool { return a.ready() == nil }, "a to be ready")
	h.awaitOwned(names(20)[1:]...)
	h.finish(names(20)[1:]...)
}

// Trace: the server is a replica, which refuses writes, and becomes a master later. The engine waits for that without spinning,
// and is not ready meanwhile; the log says what is wrong.
func TestReadOnlyReplica(t *testing.T) {
	master := servers.New(t)
	h := newHarness(t, servers.ReplicaOf(master))
	a := h.join("a", h.server.ClientOption())
	h.eventually(func() bool { return a.log.Has("point it at the master") }, "the log to say so")
	require.ErrorIs(t, a.ready(), api.ErrNotReady)
	h.requireCalm()
	require.NoError(t, h.server.Promote(context.Background()))
	h.eventually(func() bool { return a.ready() == nil }, "a to be ready")
	h.announce(names(3)...)
	h.awaitOwned(names(3)...)
	h.finish(names(3)...)
}

// Trace: the master is demoted while streams are owned. Beats are refused, so every lease is lost before its deadline. As soon as
// the server accepts writes again everything resumes.
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
	h.eventually(func() bool { return a.ready() != nil && strings.Contains(a.ready().Error(), "point it at the master") }, "Ready to say so")
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

// runToEnd runs an engine that cannot start, and returns the error.
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
	require.NoError(h.T, ctx.Err(), "Run has not returned by itself; log:\n%s", m.log.String())
	return err
}

// Trace: the service has another number of partitions, or the format of another version. The engine does not start, and changes
// nothing.
func TestAnotherServiceThanExpected(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.announce("s")
	a := h.join("a", h.server.ClientOption(), withTTL(longTTL)...)
	h.awaitOwned("s")
	// The running engine sets and removes the turn to scan.
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
	require.NoError(t, a.ready(), "a running engine carries on until it checks again")
	h.Do("HSET", h.layout.Meta(), "format", "1")
	h.finish("s")
}

// Trace: the password is missing or wrong. Open fails, and the error says what to do.
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

// Trace: before the first start, keys of another type have the names of ours. The engine does not start, and the error names the
// key. (The dead-letter stream is checked only when something is written to it.)
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

// commandsOf returns the commands that the scripts call.
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

const optional = "for checkpoints or the balance, without which everything else works: TestWithoutTheRightsToWhatIsOptional"

// notNeeded are commands that scripts call only in cases that do not occur at a start, or can do without.
var notNeeded = map[string]string{
	"cluster myid": "called only where INFO is refused",
	"info":         "CLUSTER MYID will do; both are refused in TestNeitherInfoNorMyid",
	"exists":       "called only next to consumers of another library",
	"hdel":         optional,
	"hget":         optional,
	"hlen":         optional,
	"hset":         optional,
	"zrange":       optional,
}

// Trace: the user of the engine lacks one of the rights that it needs, each in turn. The engine does not start, and the error
// names the command.
func TestEachMissingRight(t *testing.T) {
	h := newHarness(t)
	all := append(commandsOf(t), "evalsha", "eval", "xreadgroup", "hsetnx", "hmget", "xgroup createconsumer")
	for _, command := range all {
		if notNeeded[command] != "" {
			continue
		}
		t.Run(command, func(t *testing.T) {
			h := h.inSubtest(t)
			h.Do("SCRIPT", "FLUSH") // otherwise EVAL is not needed
			h.user("weak", "-"+strings.Replace(command, " ", "|", 1))
			err := h.runToEnd(h.asUser("weak"))
			require.Error(t, err)
			require.Contains(t, strings.ToLower(err.Error()), command)
			require.ErrorContains(t, err, "grant")
		})
	}
}

// Trace: the user has no right to what checkpoints take, or the balance. Streams are owned and done as ever.
func TestWithoutTheRightsToWhatIsOptional(t *testing.T) {
	for _, command := range []string{"hdel", "hset", "hscan", "hget", "hlen", "zrange"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.user("weak", "-"+command)
			a := h.join("a", h.asUser("weak"), withTTL(longTTL)...)
			h.announce("s", "t")
			h.awaitOwned("s", "t")
			require.NoError(t, a.ready())
			h.finish("s", "t")
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

// siblings are the subcommands that Redis before 7.0 has to be told of one by one, where one of them is taken away.
var siblings = map[string][]string{
	"xgroup":  {"create", "createconsumer", "delconsumer", "destroy", "setid"},
	"xinfo":   {"consumers", "groups", "stream"},
	"cluster": {"info", "keyslot", "myid", "nodes", "slots"},
}

// user makes a user who may do everything except what changes take away.
func (h *harness) user(name string, changes ...string) {
	h.T.Helper()
	if h.Num("EVAL", "return redis.REDIS_VERSION_NUM and 7 or 6", "0") < 7 {
		var all []string
		for _, change := range changes {
			command, without, some := strings.Cut(change, "|")
			all = append(all, command)
			if !some {
				continue
			}
			for _, sub := range siblings[command[1:]] {
				if sub != without {
					all = append(all, "+"+command[1:]+"|"+sub)
				}
			}
		}
		changes = all
	}
	h.Do(append([]string{"ACL", "SETUSER", name, "reset", "on", "nopass", "~*", "&*", "+@all"}, changes...)...)
}

func (h *harness) asUser(user string) rueidis.ClientOption {
	opt := h.server.ClientOption()
	opt.Username, opt.Password = user, "any"
	return opt
}

// Trace: a right is revoked while streams are owned, and granted again later. No lease claims too much: either it is renewed, or
// its owner loses it in time. With the right back everything resumes, and nothing is lost.
func TestRightRevokedWhileRunning(t *testing.T) {
	for _, command := range []string{"evalsha", "get", "mget", "pexpire", "pexpireat", "zadd", "xack", "xadd", "xdel", "xpending", "xclaim", "xreadgroup", "set", "time"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.user("weak")
			ttl := shortTTL
			if command == "xdel" {
				ttl = longTTL // each lost stream is requeued as a copy
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
				// A requeue without it leaves the acknowledged original in the stream: it takes up space and nothing else.
				h.eventually(func() bool { return h.doneBy("s-0") }, "s-0 to be done")
				require.EqualValues(t, 6, h.Num("XLEN", h.keys.Input))
				h.Do("XTRIM", h.keys.Input, "MAXLEN", "5")
			}
			h.finishTwice(append(names(5), "new")...)
		})
	}
}

// Trace: the user is deleted, which closes its connections, and created again. Leases are lost before their deadlines; then
// everything resumes.
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
	h.eventually(func() bool { return a.ready() != nil && strings.Contains(a.ready().Error(), "WRONGPASS") }, "Ready to say so")
	h.requireCalm()
	h.user("weak")
	h.awaitOwned(names(3)...)
	h.finish(names(3)...)
}
