package faults

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/telemetry"
)

// refused makes the server refuse calls of a script, as one that is not ready yet; they are retried.
func refused(script string, when func() bool) proxy.Fault {
	return proxy.Fault{Command: script, Action: proxy.ReplyError, Error: "LOADING Redis is loading the dataset in memory",
		Match: func([][]byte) bool { return when() }}
}

// Trace: Redis restarts with its data, or with what it had before the leases were acquired, and refuses what would confirm them:
// renewals, or verifications. Until it takes them the gauge shows all leases; afterwards it shows none, and none was lost.
func TestUnconfirmedAfterARestart(t *testing.T) {
	const n = 50
	ctx := context.Background()
	always := func() bool { return true }
	for name, restart := range map[string]func(h *harness, a *member, p *proxy.Proxy) (confirm func()){
		"with its data": func(h *harness, a *member, p *proxy.Proxy) func() {
			// One has to be answered for the change to be seen: a renewal or, if none is due, a beat.
			seen := func() bool { return a.engine.Stats().Settling > 0 || a.engine.Stats().Unconfirmed > 0 }
			confirm := p.Inject(refused("renew", seen))
			require.NoError(h.T, h.server.Restart(ctx, true))
			return confirm
		},
		"without the leases": func(h *harness, _ *member, p *proxy.Proxy) func() {
			renew := p.Inject(refused("renew", always))
			confirm := p.Inject(refused("verify", always))
			for _, s := range names(n) {
				h.Do("DEL", h.keys.Lease(s))
			}
			h.Do("SAVE")
			require.NoError(h.T, h.server.Kill())
			require.NoError(h.T, h.server.Restart(ctx, false))
			renew()
			require.NoError(h.T, p.WaitStruck(ctx, "verify", 1))
			return confirm
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, registry := newHarness(t, keepOld()), prometheus.NewRegistry()
			p := h.link()
			a := h.join("a", p.ClientOption(), append(withTTL(longTTL), engine.WithRegisterer(registry))...)
			h.announce(names(n)...)
			h.eventually(func() bool { return len(a.held()) == n }, "a to own all")
			leases := a.given()
			gauge := func() int {
				shown, there := telemetry.Sum(t, registry, "unconfirmed", "partition", "0")
				require.True(t, there)
				return int(shown)
			}
			require.Zero(t, gauge())
			confirm := restart(h, a, p)
			h.eventually(func() bool { return gauge() == n }, "all to be unconfirmed")
			require.Equal(t, n, a.engine.Stats().Unconfirmed)
			confirm()
			h.eventually(func() bool { return gauge() == 0 }, "all to be confirmed")
			require.Zero(t, a.engine.Stats().Unconfirmed)
			requireHeld(t, a, leases)
			h.eventually(func() bool { return h.Try("PING").Error() == nil }, "a connection of the test")
			h.finish(names(n)...)
		})
	}
}
