package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/proxy"
)

// Trace: Redis stalls for one member, or its connections break and cannot be made again. Every lease is Disowned before its
// deadline on the server, with its context cancelled and nothing remaining. When the link is back, the engine resumes by itself
// with a new session, and the streams it lost are requeued and owned again. The other member, on a good link, never held a
// stream at the same time.
func TestLinkGoesAwayAndComesBack(t *testing.T) {
	const streams = 200
	for name, link := range map[string]struct{ off, on func(*proxy.Proxy) }{
		"stalled": {(*proxy.Proxy).Stall, (*proxy.Proxy).Resume},
		"cut":     {(*proxy.Proxy).Cut, (*proxy.Proxy).Restore},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			p := h.link()
			a := h.join("a", p.ClientOption())
			h.announce(names(streams)...)
			h.eventually(func() bool { return len(a.held()) == streams }, "a to own all")
			b := h.join("b", h.server.ClientOption())
			h.eventually(func() bool { return b.ready() == nil }, "b to be ready")
			before := a.engine.ID()

			leases := a.given()
			link.off(p)
			deadlines := h.deadlines(a)
			require.Len(t, deadlines, streams)
			for s, l := range leases {
				h.eventually(func() bool { _, ok := a.disowning(l); return ok }, "Disowned of %s", s)
				x, _ := a.disowning(l)
				require.True(t, x.at.Before(deadlines[s]), "%s: disowned %v after its deadline on the server", s, x.at.Sub(deadlines[s]))
				require.ErrorIs(t, x.why, api.ErrLeaseLost)
				require.ErrorIs(t, x.cause, api.ErrLeaseLost)
				require.Zero(t, x.remaining)
				require.Error(t, l.Context().Err())
			}
			require.ErrorIs(t, a.ready(), api.ErrNotReady)
			h.eventually(func() bool { return a.saw(api.EventSessionLost) }, "the event of a lost session")
			require.True(t, a.saw(api.EventRedisUnreachable))

			link.on(p)
			h.awaitOwned(names(streams)...)
			h.eventually(func() bool { return a.ready() == nil }, "a to be ready again")
			require.True(t, a.saw(api.EventRedisReachable))
			h.eventually(func() bool {
				return h.Try("ZSCORE", h.keys.Sessions, before).Error() != nil
			}, "the lost session to be removed by its owner")
			h.finish(names(streams)...)
		})
	}
}

// Trace: the link is down for less time than the leases have left. Nothing is lost, and nobody is notified of anything.
func TestShortStallIsNotNoticed(t *testing.T) {
	h := newHarness(t)
	p := h.link()
	a := h.join("a", p.ClientOption(), withTTL(10*time.Second)...)
	h.announce(names(50)...)
	h.eventually(func() bool { return len(a.held()) == 50 }, "a to own all")
	leases := a.given()
	for range 3 {
		renewed := p.Seen("renew") + p.Seen("beat")
		p.Stall()
		h.eventually(func() bool { return a.saw(api.EventRedisUnreachable) }, "a beat to fail")
		p.Resume()
		h.eventually(func() bool { return p.Seen("renew")+p.Seen("beat") > renewed+1 && a.ready() == nil }, "beats again")
	}
	require.False(t, a.saw(api.EventSessionLost))
	for s, l := range leases {
		require.Positive(t, l.Remaining(), s)
	}
	h.finish(names(50)...)
}

// Trace: the link breaks repeatedly while streams are announced, done and failed; every call is hit at some point.
func TestLinkThatKeepsBreaking(t *testing.T) {
	h := newHarness(t)
	p := h.link()
	a := h.join("a", p.ClientOption())
	b := h.join("b", h.server.ClientOption())
	h.eventually(func() bool { return a.ready() == nil && b.ready() == nil }, "both to be ready")
	var all []string
	for i := range 10 {
		some := names(20 * (i + 1))[20*i:]
		all = append(all, some...)
		h.announce(some...)
		p.Cut()
		h.awaitTime(time.Duration(20*i) * time.Millisecond)
		p.Restore()
		h.eventually(func() bool { return a.ready() == nil }, "a to be ready")
	}
	h.awaitOwned(all...)
	h.finish(all...)
}
