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

// nobodyWasRobbed holds that nobody recovered anybody and no crash was counted.
func (w *world) nobodyWasRobbed() {
	w.t.Helper()
	for _, p := range w.parties {
		require.Zero(w.t, p.metric("recovered_total"), "recovered by %s", p.name)
		require.Zero(w.t, p.metric("script_duration_seconds", "script", "recover"), "recover scripts of %s", p.name)
	}
	require.Zero(w.t, w.countField(lease.FieldCrashes))
	require.Zero(w.t, w.Num("ZCARD", w.keys.Later))
	require.Zero(w.t, w.Num("XLEN", w.keys.DeadLetters))
	w.checkOwners()
}

func (w *world) heldByAll() (n int) {
	for _, p := range w.parties {
		n += p.held()
	}
	return n
}

// TestOutageLongerThanSessions: Redis hangs until every one of twenty engines has lost its session. To the first one back
// all others look dead. Each gives back what it lost by its own hand, under its old name, and takes it again.
func TestOutageLongerThanSessions(t *testing.T) {
	t.Parallel()
	const streams = 1000
	w := newWorld(t)
	for i := range 20 {
		w.party(fmt.Sprint("p-", i), nil, engine.WithSessionTTL(3*time.Second), engine.WithLeaseTTL(6*time.Second),
			engine.WithReadBatch(50))
	}
	w.add(upTo(streams)...)
	w.until("all is owned", func() bool { return w.heldByAll() == streams })
	for range 2 {
		require.NoError(t, w.server.Pause())
		w.until("all is lost", func() bool { return w.heldByAll() == 0 })
		require.NoError(t, w.server.Resume())
		w.until("all is owned again", func() bool { return w.heldByAll() == streams })
		w.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 20, Consumers: 20})
	}
	w.nobodyWasRobbed()
}

// TestOutageBetweenTheSessionsOfAMixedFleet: Redis hangs for longer than the sessions of some and shorter than those of
// others. The others must not find the first dead before these have beaten again.
func TestOutageBetweenTheSessionsOfAMixedFleet(t *testing.T) {
	t.Parallel()
	const streams = 500
	w := newWorld(t)
	for i := range 6 {
		ttl := 2 * time.Second // who is back late is dead: enough for a busy machine
		if i%2 == 0 {
			ttl = 20 * time.Second
		}
		w.party(fmt.Sprint("p-", i), nil, engine.WithSessionTTL(ttl), engine.WithReadBatch(20),
			engine.WithRecovery(scan.Config{Interval: scan.MinInterval}))
	}
	w.add(upTo(streams)...)
	w.until("all is owned", func() bool { return w.heldByAll() == streams })
	for range 3 {
		require.NoError(t, w.server.Pause())
		w.until("the short ones have lost all", func() bool {
			return w.parties[1].held()+w.parties[3].held()+w.parties[5].held() == 0
		})
		require.NoError(t, w.server.Resume())
		w.until("all is owned again", func() bool { return w.heldByAll() == streams })
		w.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 6, Consumers: 6})
	}
	w.nobodyWasRobbed()
}

// limited is an option for a user who may not call what the rules take away.
func (w *world) limited(rules ...string) rueidis.ClientOption {
	w.t.Helper()
	w.Do(append([]string{"ACL", "SETUSER", "limited", "reset", "on", "nopass", "allkeys", "allchannels", "+@all"}, rules...)...)
	opt := w.server.ClientOption()
	opt.Username, opt.Password = "limited", "any"
	return opt
}

// TestRecoveryWithConfigAndInfoRefused: nothing here needs CONFIG, keyspace notifications or INFO. Without INFO a cluster
// is told by CLUSTER MYID; where that is refused too, settling has to be off.
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
			w := newWorld(t, test.server...)
			if len(test.server) > 0 {
				w.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
				w.until("the cluster serves", func() bool { return w.Try("SET", "x", "y").Error() == nil })
			}
			opts := append(test.opts, engine.WithSessionTTL(time.Second), engine.WithRecovery(scan.Config{Interval: 500 * time.Millisecond}))
			link := w.link()
			opt := w.limited(test.rules...)
			victimOpt := opt
			victimOpt.InitAddress = []string{link.Addr()}
			victim := w.partyOn(victimOpt, "victim", nil, opts...)
			w.add(upTo(300)...)
			w.ownedBy(300, victim)
			b := w.partyOn(opt, "b", nil, opts...)
			link.Cut()
			victim.drop()
			w.ownedBy(300, b)
			w.stateIs(state{Input: 300, Pending: 300, Leases: 300, Sessions: 1, Consumers: 1})
			w.until("all are counted that were recovered", func() bool { return b.metric("recovered_total") == 300 })
			for _, script := range []string{"turn", "peers", "claimdead", "recover", "sweep"} {
				require.Zero(t, b.metric("script_errors_total", "script", script), script)
			}
			w.checkOwners()
		})
	}
	t.Run("INFO alone, and settling on", func(t *testing.T) {
		w := newWorld(t)
		p := w.launch(w.limited("-info"), "p", nil)
		w.until("it ends", func() bool {
			select {
			case <-p.ended:
				return true
			default:
				return false
			}
		})
		require.ErrorContains(t, p.err, "WithSettle(false)")
		require.Error(t, p.engine.Ready(context.Background()))
	})
}
