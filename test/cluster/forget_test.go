package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/servers"
)

// stall cuts a replica off from its master until the returned function is called: the replica receives none of the writes
// made meanwhile.
func (h *harness) stall(master, replica *servers.Server) (repair func(ctx context.Context) error) {
	h.t.Helper()
	h.step("the link to the replica is cut", func(ctx context.Context) error {
		// It reconnects as a user that does not exist.
		if err := masterLogin(ctx, replica, "nobody", "nothing"); err != nil {
			return err
		}
		if _, err := master.Call(ctx, "CLIENT", "KILL", "TYPE", "replica"); err != nil {
			return err
		}
		return retry(ctx, func() error {
			info, err := replica.Info(ctx, "replication")
			if err == nil && info["master_link_status"] == "up" {
				err = errors.New("the link is up")
			}
			return err
		})
	})
	return func(ctx context.Context) error { return masterLogin(ctx, replica, "", "") }
}

// masterLogin sets as whom a replica connects to its master, in two steps: several settings in one CONFIG SET are of Redis 7.0.
func masterLogin(ctx context.Context, replica *servers.Server, user, password string) error {
	_, err := replica.Call(ctx, "CONFIG", "SET", "masteruser", user)
	_, errPassword := replica.Call(ctx, "CONFIG", "SET", "masterauth", password)
	return errors.Join(err, errPassword)
}

// awaitInStep waits until a replica has everything that its master has so far.
func (h *harness) awaitInStep(master, replica *servers.Server) {
	h.t.Helper()
	h.step("the replica is in step", func(ctx context.Context) error { return servers.AwaitInStep(ctx, master, replica) })
}

// Acknowledged writes are lost: the replica that takes over had been cut off before them. The owners of streams that it does not
// know lose them. Leases that it lost, but whose entries it has pending, are set again. Streams that were done are handed out
// again, since the new master has them as held. Tokens keep rising, nothing is owned twice, and everything is done in the end.
func TestFailoverLosesWrites(t *testing.T) {
	h := newHarness(t)
	a, b := h.join("a", ttl(2*shortSession)...), h.join("b", ttl(2*shortSession)...)
	old := names(0, 400)
	h.announce(old...)
	h.awaitOwned(old...)
	victim := h.owner(0)
	replica := h.replica(victim)
	mine, others := h.partitionsOf(victim)
	finished, kept := h.in(old, mine)[:20], h.in(old, mine)[20:]
	h.awaitInStep(victim, replica)
	repair := h.stall(victim, replica)

	// Only the old master knows these.
	forgotten := h.in(names(400, 600), mine)
	h.announce(forgotten...)
	h.awaitOwned(forgotten...)
	tokens := h.tokens()
	for _, s := range finished {
		m := h.holder(s)
		l, _ := m.engine.Lease(s)
		m.recorder.Look(l)
		ctx, cancel := h.ctx()
		require.NoError(t, l.Done(ctx))
		cancel()
	}
	before := h.leases()

	h.step("takeover", func(ctx context.Context) error { return h.cluster.Failover(ctx, replica, servers.Takeover) })
	// As if some leases had been acquired in the last second.
	verified := kept[:20]
	h.step("leases lost", func(ctx context.Context) error {
		for _, s := range verified {
			if _, err := replica.Call(ctx, "DEL", h.layout.Keys(h.layout.Of(s)).Lease(s)); err != nil {
				return err
			}
		}
		return nil
	})
	began := time.Now()
	h.step("replication repaired", repair)
	h.eventually(func() bool {
		for _, s := range forgotten {
			if before[s].Remaining() > 0 {
				return false
			}
		}
		return true
	}, "owners to learn what was lost")
	t.Logf("%d streams that the new master does not know were disowned after %v", len(forgotten), time.Since(began).Round(time.Millisecond))
	h.eventually(func() bool {
		return a.events.Count(api.EventSettlingEnded) > 0 && b.events.Count(api.EventSettlingEnded) > 0
	}, "the end of settling")
	// One of those whose lease was deleted is lost if the new master had confirmed it before: then it was not forgotten.
	for _, s := range kept[len(verified):] {
		require.Positive(t, before[s].Remaining(), "%s is pending on the new master", s)
	}
	for _, m := range h.fleet {
		require.Empty(t, h.in(m.lost(), others))
	}
	require.Positive(t, a.metric(t, "renewals_total", "result", "missing")+b.metric(t, "renewals_total", "result", "missing"))
	h.awaitOwned(finished...)
	t.Logf("%d streams that were done were owned again after %v", len(finished), time.Since(began).Round(time.Millisecond))
	// Announcements that Redis has forgotten altogether have to be published again.
	h.announce(forgotten...)
	h.awaitOwned(forgotten...)
	for s, now := range h.tokens() {
		if now == tokens[s] {
			continue
		}
		require.Greater(t, now, tokens[s], s)
	}
	h.awaitOwned(verified...)
	for _, s := range append(finished, forgotten...) {
		require.Greater(t, h.tokens()[s], tokens[s], s)
	}
	h.finish()
}
