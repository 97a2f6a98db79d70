package starting

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// front is a port that leads to a server, by TLS for those who begin with that.
type front struct {
	address string
	target  atomic.Value // address; hangs and closes: what is there in place of a server
	trouble atomic.Int64 // how many more connections are closed by what is there, whatever the target is
	slow    atomic.Int64 // how many more connections are not answered
}

const (
	hangs  = "hangs"
	closes = "closes"
	hasty  = 500 * time.Millisecond // of a client, where it waits for what does not come
)

// newFront opens a port. If onlyTLS is set, it closes connections that begin otherwise.
func newFront(t *testing.T, target string, onlyTLS bool) *front {
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.StartTLS()
	config := &tls.Config{Certificates: web.TLS.Certificates}
	web.Close()
	f := &front{}
	f.target.Store(target)
	f.address = listen(t, func(raw net.Conn) {
		defer raw.Close()
		target := f.target.Load().(string)
		switch {
		case f.trouble.Add(-1) >= 0:
			target = closes
		case f.slow.Add(-1) >= 0:
			target = hangs
		}
		if target == hangs {
			_, _ = io.Copy(io.Discard, raw)
			return
		}
		begun := bufio.NewReader(raw)
		first, err := begun.Peek(1)
		if err != nil {
			return
		}
		var conn net.Conn = begunConn{raw, begun}
		switch {
		case first[0] == 0x16:
			secure := tls.Server(conn, config)
			if secure.Handshake() != nil {
				return
			}
			conn = secure
		case onlyTLS:
			return
		}
		if target == closes {
			return
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		go func() {
			defer raw.Close()
			_, _ = io.Copy(conn, server)
		}()
		_, _ = io.Copy(server, conn)
	})
	return f
}

// begunConn is a connection of which something was read.
type begunConn struct {
	net.Conn
	begun *bufio.Reader
}

func (c begunConn) Read(b []byte) (int, error) { return c.begun.Read(b) }

// startAway starts an engine while what the port leads to is away, and lets it come back.
func startAway(t *testing.T, opt rueidis.ClientOption, f *front, away string) {
	t.Helper()
	opt.Dialer.Timeout, opt.Sentinel.Dialer.Timeout = hasty, hasty
	target := f.target.Load()
	f.target.Store(away)
	r := run(t, opt)
	r.until("the log says so", func() bool { return len(r.log.of("cannot connect to Redis")) > 0 })
	f.target.Store(target)
	r.untilReady()
	require.NoError(t, r.end())
}

// bySelf dials by TLS whatever the client says.
func bySelf(ctx context.Context, address string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return (&tls.Dialer{NetDialer: d, Config: insecure}).DialContext(ctx, "tcp", address)
}

// clients are the ways to speak to a port that takes TLS and plain text.
var clients = map[string]rueidis.ClientOption{
	"plainly":                     {},
	"by TLS":                      {TLSConfig: insecure},
	"by TLS of the user":          {DialCtxFn: bySelf},
	"by TLS of the user and more": {DialCtxFn: bySelf, TLSConfig: insecure},
}

// A port that takes both says nothing about what the client speaks, also where only the attempt itself fails and the questions do not.
func TestAPortThatTakesBothIsWaitedFor(t *testing.T) {
	redis := servers.New(t)
	for name, opt := range clients {
		opt.Dialer.Timeout = hasty
		for _, away := range []string{hangs, closes} {
			t.Run(name+", "+away, func(t *testing.T) {
				f := newFront(t, redis.Addr(), false)
				opt.InitAddress = []string{f.address}
				startAway(t, opt, f, away)
			})
		}
		for n := range int64(4) {
			for _, err := range []error{io.EOF, context.DeadlineExceeded} {
				f := newFront(t, redis.Addr(), false)
				opt.InitAddress = []string{f.address}
				if err == io.EOF {
					f.trouble.Store(n)
				} else {
					f.slow.Store(min(n, 2))
				}
				require.NotErrorIs(t, cluster.Diagnose(opt, err), api.ErrNotRedis, "%s: %v, %d", name, err, n)
			}
		}
	}
}

// The user's dialer that does TLS itself fares alike at a port that takes nothing else.
func TestTLSOfTheUserIsWaitedFor(t *testing.T) {
	redis := servers.New(t)
	for _, config := range []*tls.Config{nil, insecure} {
		f := newFront(t, redis.Addr(), true)
		opt := rueidis.ClientOption{InitAddress: []string{f.address}, DialCtxFn: bySelf, TLSConfig: config}
		for _, err := range []error{io.EOF, context.DeadlineExceeded} {
			require.NotErrorIs(t, cluster.Diagnose(opt, err), api.ErrNotRedis)
		}
		startAway(t, opt, f, hangs)
	}
}

// A dialer that uses the client's TLSConfig is asked like the library's.
func TestADialerThatUsesTheConfig(t *testing.T) {
	redis := servers.New(t)
	opt := at(redis.Addr())
	opt.TLSConfig = insecure
	opt.DialCtxFn = func(ctx context.Context, address string, d *net.Dialer, config *tls.Config) (net.Conn, error) {
		if config == nil {
			return d.DialContext(ctx, "tcp", address)
		}
		return (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, "tcp", address)
	}
	_, err := engine.Open(opt, service)
	require.ErrorIs(t, err, api.ErrNotRedis)
	require.ErrorContains(t, err, "speaks Redis without TLS, and the client's TLSConfig is set")
}

// Sentinels and the servers that they watch need not speak alike: neither says anything about the other. A master that is away, or
// that is a replica in the middle of a failover, is waited for.
func TestSentinelsThatSpeakOtherwiseThanTheirServers(t *testing.T) {
	watched := servers.NewSentinel(t, servers.SentinelOptions{Replicas: 1, Sentinels: 1})
	sentinel := watched.Sentinels()[0]
	master, replica := watched.Servers()[0].Addr(), watched.Servers()[1].Addr()
	set := watched.ClientOption().Sentinel.MasterSet
	data, front := newFront(t, master, false), newFront(t, sentinel.Addr(), true)
	_, port, err := net.SplitHostPort(data.address)
	require.NoError(t, err)
	for _, call := range [][]string{
		{"SENTINEL", "REMOVE", set},
		{"SENTINEL", "MONITOR", set, "127.0.0.1", port, "1"},
		{"SENTINEL", "SET", set, "down-after-milliseconds", "600000"}, // the sentinel itself leaves it as it is
	} {
		_, err := sentinel.Call(t.Context(), call...)
		require.NoError(t, err)
	}
	plainSentinel, secureSentinel := watched.ClientOption(), watched.ClientOption()
	plainSentinel.TLSConfig = insecure
	secureSentinel.InitAddress, secureSentinel.Sentinel.TLSConfig = []string{front.address}, insecure
	for name, opt := range map[string]rueidis.ClientOption{"plain sentinels, TLS servers": plainSentinel, "TLS sentinels, plain servers": secureSentinel} {
		for what, away := range map[string]string{hangs: hangs, closes: closes, "is a replica": replica} {
			t.Run(name+", "+what, func(t *testing.T) { startAway(t, opt, data, away) })
		}
	}

	plainSentinel.Sentinel.TLSConfig = insecure
	_, err = engine.Open(plainSentinel, service)
	require.ErrorIs(t, err, api.ErrNotRedis)
	require.ErrorContains(t, err, "the client's Sentinel.TLSConfig is set")
	secureSentinel.Sentinel.TLSConfig = nil
	_, err = engine.Open(secureSentinel, service)
	require.ErrorIs(t, err, api.ErrNotRedis)
	require.ErrorContains(t, err, "set Sentinel.TLSConfig")
}
