package maintenance

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/notices"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/servers"
)

// Behind TLS and a password, notices are heard like anywhere else: by the connection that listens to them, with what the engine was
// given for its clients. An announced pause costs nothing, and a node that moves is followed, by its clients, too.
func TestNoticesAreHeardBehindTLSAndAPassword(t *testing.T) {
	t.Parallel()
	const password = "of-the-test"
	server := servers.New(t, servers.Password(password))
	secure, trust, err := notices.Secure()
	require.NoError(t, err)
	front := func() *front {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		f := frontOn(t, tls.NewListener(l, secure), server.Addr())
		f.Set(notices.Options{Auth: "default " + password})
		return f
	}
	before, after := front(), front()
	announce(t, server.Client(t), "tls", streams)
	m := joinBy(t, rueidis.ClientOption{
		InitAddress: []string{before.addr()}, ForceSingleClient: true, Password: password, TLSConfig: trust,
	}, "m", "tls", overlap.NewClock(), engine.WithMaintenance(window))
	eventually(t, "everything is held", func() bool { return m.Stats().Held == streams })
	eventually(t, "notices are listened to", func() bool { return before.Listening() == 1 })

	require.Equal(t, 1, before.Push(failingOver))
	eventually(t, "leases last longer", func() bool { return m.least() > outage+5*time.Second })
	began := time.Now()
	require.NoError(t, server.Pause())
	eventually(t, "the outage has lasted", func() bool { return time.Since(began) > outage })
	require.NoError(t, server.Resume())
	eventually(t, "beats are answered", func() bool { return m.events.Count(api.EventRedisReachable) > 0 })
	require.Equal(t, 1, before.Push(failedOver))
	eventually(t, "the window has ended", func() bool { return m.events.Count(api.EventMaintenanceEnded) == 1 })

	require.Equal(t, 1, before.Push(">4\r\n+MOVING\r\n:12\r\n:10\r\n+"+after.addr()+"\r\n"))
	eventually(t, "it listens at the new address", func() bool { return after.Listening() == 1 && before.Listening() == 0 })
	eventually(t, "its clients are there, too", func() bool { return after.clients() > 0 && before.clients() == 0 })
	require.Zero(t, m.lost())
	require.Equal(t, streams, m.Stats().Held)
	eventually(t, "it is ready", func() bool { return m.Ready(context.Background()) == nil })
	require.Zero(t, m.events.Count(api.EventSessionLost))
}
