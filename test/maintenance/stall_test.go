package maintenance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// relaxedTTLs leave time for relaxed timeouts: with a session TTL of 3 s, calls wait no longer during maintenance than else.
var relaxedTTLs = []engine.Option{engine.WithSessionTTL(12 * time.Second), engine.WithLeaseTTL(30 * time.Second)}

// stall stops the server for a while, in which nothing but time passes.
func stall(t *testing.T, server *servers.Server, d time.Duration) {
	t.Helper()
	require.NoError(t, server.Pause())
	began := time.Now()
	eventually(t, "the stall has lasted", func() bool { return time.Since(began) > d })
	require.NoError(t, server.Resume())
}

// In an announced window, a server may take as long to answer as the TTLs allow: nothing fails and no connection is made again.
func TestAStallThatWasAnnouncedEndsNoConnection(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{1500 * time.Millisecond, 3 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			server := servers.New(t)
			f := newFront(t, server.Addr())
			s := settle(t, server, f.addr(), append(relaxedTTLs, engine.WithMaintenance(notice.Config{}))...)
			eventually(t, "notices are listened to", func() bool { return f.Listening() == 1 })
			require.Equal(t, 1, f.Push(failingOver))
			eventually(t, "the window is open", func() bool { return s.events.Count(api.EventMaintenanceStarted) == 1 && s.least() > 30*time.Second })
			before := f.accepted()
			stall(t, server, d)
			answered := time.Now()
			eventually(t, "pings and beats have gone on for a while", func() bool { return time.Since(answered) > 3*time.Second })
			require.Equal(t, before, f.accepted(), "no new connection:\n%s", s.log.String())
			require.Zero(t, s.events.Count(api.EventRedisUnreachable), s.log.String())
			require.NotContains(t, s.log.String(), "timeout")
			s.kept()
		})
	}
}

// The same without a notice is noticed within two seconds, as always.
func TestAStallThatWasNotAnnouncedIsNoticed(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	f := newFront(t, server.Addr())
	s := settle(t, server, f.addr(), append(relaxedTTLs, engine.WithMaintenance(notice.Config{}))...)
	eventually(t, "notices are listened to", func() bool { return f.Listening() == 1 })
	before := f.accepted()
	stall(t, server, 3500*time.Millisecond)
	require.Positive(t, s.events.Count(api.EventRedisUnreachable))
	require.Greater(t, f.accepted(), before, "connections were given up")
	require.Zero(t, s.lost())
	s.unwatch()
	require.Error(t, *s.unready.Load())
}

// An outage that was announced, and that sessions and leases outlast, is no reason to be taken out of service.
func TestAnAnnouncedOutageKeepsTheEngineReady(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	f := newFront(t, server.Addr())
	s := settle(t, server, f.addr(), engine.WithMaintenance(window))
	eventually(t, "notices are listened to", func() bool { return f.Listening() == 1 })
	require.Equal(t, 1, f.Push(failingOver))
	eventually(t, "leases last longer", func() bool { return s.least() > outage+5*time.Second })
	stall(t, server, outage)
	eventually(t, "beats are answered", func() bool { return s.events.Count(api.EventRedisReachable) > 0 })
	require.Equal(t, 1, f.Push(failedOver))
	eventually(t, "the window has ended", func() bool { return s.events.Count(api.EventMaintenanceEnded) == 1 })
	s.kept()
}
