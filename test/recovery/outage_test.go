package recovery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// checkNothingRecovered checks that no member recovered another and that no crash was counted.
func (h *harness) checkNothingRecovered() {
	h.T.Helper()
	for _, m := range h.fleet {
		require.Zero(h.T, m.metric("recovered_total"), "recovered by %s", m.name)
		require.Zero(h.T, m.metric("script_duration_seconds", "script", "recover"), "recover scripts of %s", m.name)
	}
	require.Zero(h.T, h.countField(lease.FieldCrashes))
	require.Zero(h.T, h.Num("ZCARD", h.keys.Later))
	require.Zero(h.T, h.Num("XLEN", h.keys.DeadLetters))
	h.checkOwners()
}

func (h *harness) heldByAll() (n int) {
	for _, m := range h.fleet {
		n += m.held()
	}
	return n
}

// TestOutageLongerThanSessions: Redis hangs until all twenty engines have lost their sessions. To the first one back all others
// look dead. Each requeues what it lost by itself, under its old name, and takes it again.
func TestOutageLongerThanSessions(t *testing.T) {
	t.Parallel()
	const streams = 1000
	h := newHarness(t)
	for i := range 20 {
		h.member(fmt.Sprint("p-", i), nil, engine.WithSessionTTL(3*time.Second), engine.WithLeaseTTL(6*time.Second),
			engine.WithReadBatch(50))
	}
	h.add(upTo(streams)...)
	h.until("everything is owned", func() bool { return h.heldByAll() == streams })
	for range 2 {
		require.NoError(t, h.server.Pause())
		h.until("everything is lost", func() bool { return h.heldByAll() == 0 })
		require.NoError(t, h.server.Resume())
		h.until("everything is owned again", func() bool { return h.heldByAll() == streams })
		h.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 20, Consumers: 20})
	}
	h.checkNothingRecovered()
}

// TestOutageBetweenTheSessionsOfAMixedFleet: Redis hangs for longer than the sessions of some members and shorter than those of
// others. The latter must not consider the former dead before they had time for a beat.
func TestOutageBetweenTheSessionsOfAMixedFleet(t *testing.T) {
	t.Parallel()
	const streams = 500
	h := newHarness(t)
	for i := range 6 {
		ttl := 4 * time.Second // a member that is back too late is dead: enough for a busy machine
		if i%2 == 0 {
			ttl = 20 * time.Second
		}
		h.member(fmt.Sprint("p-", i), nil, engine.WithSessionTTL(ttl), engine.WithReadBatch(20),
			engine.WithRecovery(scan.Config{Interval: scan.MinInterval}))
	}
	h.add(upTo(streams)...)
	h.until("everything is owned", func() bool { return h.heldByAll() == streams })
	for range 3 {
		require.NoError(t, h.server.Pause())
		h.until("the members with short sessions have lost everything", func() bool {
			return h.fleet[1].held()+h.fleet[3].held()+h.fleet[5].held() == 0
		})
		require.NoError(t, h.server.Resume())
		h.until("everything is owned again", func() bool { return h.heldByAll() == streams })
		h.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 6, Consumers: 6})
	}
	h.checkNothingRecovered()
}

// limited returns client options of a user with all rights except those that the rules take away.
func (h *harness) limited(rules ...string) rueidis.ClientOption {
	h.T.Helper()
	h.Do(append([]string{"ACL", "SETUSER", "limited", "reset", "on", "nopass", "allkeys", "allchannels", "+@all"}, rules...)...)
	opt := h.server.ClientOption()
	opt.Username, opt.Password = "limited", "any"
	return opt
}

// TestRecoveryWithConfigAndInfoRefused: recovery does not need CONFIG, keyspace notifications or INFO. Without INFO a server is
// identified by CLUSTER MYID; if that is refused, too, settling has to be off.
func TestRecoveryWithConfigAndInfoRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules  []string
		opts   []engine.Option
		server []servers.Option
	}{
		"CONFIG":             {rules: []string{"-config"}},
		"CONFIG and INFO":    {rules: []string{"-config", "-info"}, opts: []engine.Option{engine.WithSettle(false)}},
		"both, on a cluster": {rules: []string{"-config", "-info"}, server: []servers.Option{servers.Args("--cluster-enabled", "yes")}},
		"all but what it needs": {rules: []string{"-@all", "+@connection", "+evalsha", "+eval", "+time", "+info", "+xadd", "+xack",
			"+xdel", "+xlen", "+xrange", "+xpending", "+xclaim", "+xreadgroup", "+xgroup", "+xinfo", "+zadd", "+zrem", "+zcount",
			"+zscore", "+zrangebyscore", "+get", "+mget", "+set", "+del", "+pttl", "+pexpire", "+pexpireat", "+exists", "+hsetnx", "+hmget"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, test.server...)
			if len(test.server) > 0 {
				h.Do(servers.AddSlots(0, 16384)...)
				h.until("the cluster serves", func() bool { return h.Try("SET", "x", "y").Error() == nil })
			}
			opts := append(test.opts, engine.WithSessionTTL(time.Second), engine.WithRecovery(scan.Config{Interval: 500 * time.Millisecond}))
			link := h.link()
			opt := h.limited(test.rules...)
			victimOpt := opt
			victimOpt.InitAddress = []string{link.Addr()}
			victim := h.memberOn(victimOpt, "victim", nil, opts...)
			h.add(upTo(300)...)
			h.ownedBy(300, victim)
			b := h.memberOn(opt, "b", nil, opts...)
			link.Cut()
			victim.drop()
			h.ownedBy(300, b)
			h.stateIs(state{Input: 300, Pending: 300, Leases: 300, Sessions: 1, Consumers: 1})
			h.recoveredBy(b, 300)
			for _, script := range []string{"turn", "peers", "claimdead", "recover", "sweep"} {
				require.Zero(t, b.metric("script_errors_total", "script", script), script)
			}
			h.checkOwners()
		})
	}
	t.Run("INFO alone, and settling on", func(t *testing.T) {
		h := newHarness(t)
		m := h.launch(h.limited("-info"), "p", nil)
		h.until("it ends", func() bool {
			select {
			case <-m.ended:
				return true
			default:
				return false
			}
		})
		require.ErrorContains(t, m.err, "WithSettle(false)")
		require.Error(t, m.engine.Ready(context.Background()))
	})
}
