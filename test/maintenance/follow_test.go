package maintenance

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/notices"
	"github.com/streamlease/streamlease/test/overlap"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
)

func moving(seq, seconds int, endpoint string) string {
	if endpoint == "" {
		return fmt.Sprintf(">4\r\n+MOVING\r\n:%d\r\n:%d\r\n_\r\n", seq, seconds)
	}
	return fmt.Sprintf(">4\r\n+MOVING\r\n:%d\r\n:%d\r\n+%s\r\n", seq, seconds, endpoint)
}

// settled is an engine that holds everything and is ready, and a watch on whether it stays so.
type settled struct {
	*member
	unready atomic.Pointer[error]
	unwatch func() // ends the watch
}

// settle starts an engine at an address of a server, and returns when it holds all streams.
func settle(t *testing.T, server *servers.Server, addr string, opts ...engine.Option) *settled {
	t.Helper()
	opt := rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}
	return settleBy(t, opt, server.Client(t), opts...)
}

// settleBy does the same with other options of the client. producer is another client.
func settleBy(t *testing.T, opt rueidis.ClientOption, producer rueidis.Client, opts ...engine.Option) *settled {
	t.Helper()
	some := engine.WithPartitions(8)
	announce(t, producer, "moves", streams, some)
	opts = append(opts[:len(opts):len(opts)], some)
	s := &settled{member: joinBy(t, opt, "m", "moves", overlap.NewClock(), opts...)}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	s.unwatch = sync.OnceFunc(func() {
		close(ended)
		watch.Wait()
	})
	t.Cleanup(s.unwatch)
	eventually(t, "everything is held", func() bool { return s.Stats().Held == streams && s.Ready(context.Background()) == nil })
	watch.Go(func() {
		for {
			if err := s.Ready(context.Background()); err != nil {
				s.unready.CompareAndSwap(nil, &err)
			}
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	return s
}

// kept requires that nothing was lost, and that the engine was ready all the time.
func (s *settled) kept() {
	s.t.Helper()
	s.unwatch()
	if err := s.unready.Load(); err != nil {
		require.NoError(s.t, *err)
	}
	require.Zero(s.t, s.lost())
	require.Zero(s.t, s.events.Count(api.EventSessionLost))
	require.Equal(s.t, streams, s.Stats().Held)
}

// outlive waits until sessions and leases could not have lasted without renewals.
func (s *settled) outlive(from time.Time) {
	s.t.Helper()
	eventually(s.t, "every lease that was not renewed would have ended", func() bool { return time.Since(from) > leaseTTL+2*sessionTTL })
}

// The address of the server goes away at the announced time, as was announced together with the new one. Clients have left by then,
// no call has failed, and nothing is lost.
func TestAServerThatMovesIsFollowed(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	before, after := newFront(t, server.Addr()), newFront(t, server.Addr())
	s := settle(t, server, before.addr(), engine.WithMaintenance(window))
	eventually(t, "notices are listened to", func() bool { return before.Listening() == 1 })
	for range 3 { // one notice, repeated
		require.Equal(t, 1, before.Push(moving(7, 4, after.addr())))
	}
	announced := time.Now()
	eventually(t, "all connections lead to the new endpoint", func() bool { return before.clients() == 0 && before.Listening() == 0 })
	require.Less(t, time.Since(announced), 4*time.Second, "before the old one goes away")
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), "no call has failed:\n%s", s.log.String())
	before.kill()
	require.Equal(t, 1, after.Listening())
	after.Push(moving(7, 4, after.addr())) // repeated on the new connection
	s.outlive(announced)
	require.Equal(t, 1, s.events.Count(api.EventServerMoved))
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), s.log.String())
	s.kept()
}

// Server after server moves, each before the last one has had its time: each is followed, and each address goes away as announced.
func TestEveryMoveIsFollowed(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	at := newFront(t, server.Addr())
	s := settle(t, server, at.addr(), engine.WithMaintenance(window))
	eventually(t, "notices are listened to", func() bool { return at.Listening() == 1 })
	began := time.Now()
	const moves = 6
	for i := range moves {
		next := newFront(t, server.Addr())
		require.Equal(t, 1, at.Push(moving(10+i, 2, next.addr())))
		announced, old := time.Now(), at
		eventually(t, "it is followed", func() bool { return next.Listening() == 1 && old.clients() == 0 && next.clients() > 0 })
		require.Less(t, time.Since(announced), 2*time.Second)
		old.kill()
		at = next
	}
	s.outlive(began)
	require.Equal(t, moves, s.events.Count(api.EventServerMoved))
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), s.log.String())
	s.kept()
}

// A new endpoint that does not answer is tried three times, and the old one stays in use. It is tried again when the old one is
// gone; by then it answers. When that goes away without a word, and the old one is back, the engine is there again.
func TestAnEndpointThatDoesNotAnswerYet(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	before, after := newFront(t, server.Addr()), newFront(t, server.Addr())
	old, addr := before.addr(), after.addr()
	after.kill()
	s := settle(t, server, old, engine.WithMaintenance(window))
	eventually(t, "notices are listened to", func() bool { return before.Listening() == 1 })
	require.Equal(t, 1, before.Push(moving(7, 5, addr)))
	announced := time.Now()
	eventually(t, "it was given up", func() bool { return s.events.Count(api.EventServerMoved) == 1 })
	require.True(t, s.log.Has("does not answer; the old address stays in use"), s.log.String())
	eventually(t, "notices are listened to at the old address", func() bool { return before.Listening() == 1 })
	require.Positive(t, before.clients())
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), s.log.String())

	eventually(t, "the time has come", func() bool { return time.Since(announced) > 5*time.Second })
	after = newFrontAt(t, addr, server.Addr())
	before.kill()
	eventually(t, "clients are at the new endpoint", func() bool { return after.clients() > 0 && after.Listening() == 1 })

	before = newFrontAt(t, old, server.Addr())
	after.kill()
	eventually(t, "clients are back", func() bool { return before.clients() > 0 && before.Listening() == 1 })
	require.True(t, s.log.Has("connecting to the address of a server itself again"), s.log.String())
	s.outlive(time.Now())
	require.Zero(t, s.lost())
	require.Zero(t, s.events.Count(api.EventSessionLost))
}

// Without an endpoint, the same address leads elsewhere after half of the time. Each of two notices has connections made again,
// and what is no endpoint counts as none.
func TestTheSameAddressLeadsElsewhere(t *testing.T) {
	t.Parallel()
	server := servers.New(t)
	f := newFront(t, server.Addr())
	s := settle(t, server, f.addr(), engine.WithMaintenance(window))
	eventually(t, "notices are listened to", func() bool { return f.Listening() == 1 })
	began := time.Now()
	for i, endpoint := range []string{"", "?:6379", "nowhere"} {
		had := f.accepted()
		require.Equal(t, 1, f.Push(moving(7+i, 4, endpoint)))
		announced := time.Now()
		eventually(t, "it was acted on", func() bool { return s.events.Count(api.EventServerMoved) == i+1 })
		require.GreaterOrEqual(t, time.Since(announced), 2*time.Second)
		// The connection that listens is the last to be replaced: what is announced on the old one reaches nobody.
		eventually(t, "clients have connected again", func() bool {
			listened := strings.Count(s.log.String(), "listening for notices of maintenance")
			return f.accepted() >= had+2 && listened == i+2 && f.Listening() == 1
		})
	}
	s.outlive(began)
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), s.log.String())
	s.kept()
}

// With TLS, the endpoint that takes the place of a name may be an IP address with the certificate of the name.
//
// Some twenty handshakes at once, both sides of them in this process, may keep a busy machine from everything else for seconds. So
// calls have more time here than they have by default, and sessions and leases last longer.
func TestAServerThatMovesIsFollowedWithTLS(t *testing.T) {
	t.Parallel()
	const ttl, timeout = 30 * time.Second, 10 * time.Second
	server := servers.New(t)
	config, trust, err := notices.Secure("example.com")
	require.NoError(t, err)
	secure := func() *front {
		l, err := tls.Listen("tcp", "127.0.0.1:0", config)
		require.NoError(t, err)
		return frontOn(t, l, server.Addr())
	}
	before, after := secure(), secure()
	opt := rueidis.ClientOption{
		InitAddress: []string{"example.com:6379"}, ForceSingleClient: true, TLSConfig: trust,
		// The user's own dialer knows where the name leads.
		DialCtxFn: func(ctx context.Context, address string, nd *net.Dialer, config *tls.Config) (net.Conn, error) {
			if address == "example.com:6379" {
				address = before.addr()
				config = config.Clone()
				config.ServerName = "example.com"
			}
			d := tls.Dialer{NetDialer: nd, Config: config}
			return d.DialContext(ctx, "tcp", address)
		},
	}
	registry := prometheus.NewRegistry()
	renewed := func() float64 {
		n, _ := telemetry.Sum(t, registry, "renewals_total", "result", "kept")
		return n
	}
	s := settleBy(t, opt, server.Client(t), engine.WithMaintenance(window), engine.WithRegisterer(registry),
		engine.WithSessionTTL(ttl), engine.WithLeaseTTL(ttl), engine.WithPipeline(lease.Pipeline{Timeout: timeout}))
	eventually(t, "notices are listened to", func() bool { return before.Listening() == 1 })
	require.Equal(t, 1, before.Push(moving(7, 20, after.addr())))
	eventually(t, "all connections lead to the new endpoint", func() bool {
		return before.clients() == 0 && before.Listening() == 0 && after.Listening() == 1
	})
	before.kill()
	had := renewed()
	eventually(t, "leases are renewed at the new endpoint", func() bool { return renewed() >= had+streams })
	require.Zero(t, s.events.Count(api.EventRedisUnreachable), s.log.String())
	s.kept()
}
