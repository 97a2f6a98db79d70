package starting

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

var (
	insecure = &tls.Config{InsecureSkipVerify: true}
	// trustingNobody refuses every certificate without reading those of the system, which takes seconds on a busy machine.
	trustingNobody = &tls.Config{RootCAs: x509.NewCertPool()}
)

// listen returns the address of a server that does this with each connection.
func listen(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr().String()
}

// An answer that is not Redis's, and TLS on one side only, end a program at once and say what they are.
func TestWhatIsNotRedis(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	redis := servers.New(t)
	mail := listen(t, func(c net.Conn) {
		defer c.Close()
		_, _ = io.WriteString(c, "220 mail ESMTP\r\n")
		_, _ = c.Read(make([]byte, 100))
	})
	speakingTLS := func(address string, config *tls.Config) rueidis.ClientOption {
		opt := at(address)
		opt.TLSConfig = config
		return opt
	}
	for _, c := range []struct {
		name, says string
		opt        rueidis.ClientOption
	}{
		{"an HTTP server", `is another kind of server, it answers "HTTP/1.1 400 Bad Request"`, at(web.Listener.Addr().String())},
		{"a mail server", `is another kind of server, it answers "220 mail ESMTP"`, at(mail)},
		{"a TLS port, spoken plainly", "speaks TLS, and the client does not: set TLSConfig", at(secure.Listener.Addr().String())},
		{"a plain port, spoken by TLS", "speaks Redis without TLS, and the client's TLSConfig is set", speakingTLS(redis.Addr(), insecure)},
		{"an HTTP server, spoken by TLS", `is another kind of server, it answers "HTTP/1.1 400`, speakingTLS(web.Listener.Addr().String(), insecure)},
		{"a certificate of nobody", "check TLSConfig: its ServerName and RootCAs", speakingTLS(secure.Listener.Addr().String(), trustingNobody)},
	} {
		t.Run(c.name, func(t *testing.T) {
			// On a busy machine a handshake may take longer than the second that a client has by default: then nothing is known of
			// the server, and Open leaves it to Run to try again.
			c.opt.Dialer.Timeout, c.opt.ConnWriteTimeout = patience, patience
			_, err := engine.Open(c.opt, service)
			require.ErrorIs(t, err, api.ErrNotRedis)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, c.opt.InitAddress[0])
		})
	}
}

// A TLS port of a real Redis server, spoken plainly.
func TestRedisByTLSSpokenPlainly(t *testing.T) {
	server := newSecure(t)
	_, err := engine.Open(at(server), service)
	require.ErrorIs(t, err, api.ErrNotRedis)
	require.ErrorContains(t, err, "speaks TLS, and the client does not: set TLSConfig")
}

// A password that is missing or wrong ends a program at once, as ever.
func TestPasswords(t *testing.T) {
	server := servers.New(t, servers.Password("secret"))
	_, err := engine.Open(at(server.Addr()), service)
	require.ErrorContains(t, err, "give the client a user name and a password")
	opt := at(server.Addr())
	opt.Password = "wrong"
	_, err = engine.Open(opt, service)
	require.ErrorContains(t, err, "check the client's user name and password")
}

// A program may start before its server. Open does not fail, Run connects when the server is there, and until then Ready and the
// log say why it is not.
func TestOpenBeforeTheServerIsThere(t *testing.T) {
	server := servers.New(t)
	require.NoError(t, server.Kill())
	r := run(t, server.ClientOption())
	r.until("the log says so", func() bool { return len(r.log.of("cannot connect to Redis")) > 0 })
	require.Contains(t, r.log.of("cannot connect to Redis")[0], "connection refused")
	err := r.Ready(context.Background())
	require.ErrorIs(t, err, api.ErrNotReady)
	require.ErrorContains(t, err, "connection refused")
	_, err = r.Inspector(scan.InspectorConfig{})
	require.ErrorContains(t, err, "connection refused")

	require.NoError(t, server.Restart(context.Background(), false))
	r.untilReady()
	_, err = r.Inspector(scan.InspectorConfig{})
	require.NoError(t, err)
	require.NoError(t, r.end())
}

// What cannot be told from a server that will be there is waited for, too, and named.
func TestServersThatAnswerNothing(t *testing.T) {
	for name, c := range map[string]struct {
		says  string
		serve func(net.Conn)
	}{
		"hangs":  {"accepts connections and does not answer", func(c net.Conn) { _, _ = io.Copy(io.Discard, c); c.Close() }},
		"closes": {"closes the connection without an answer", func(c net.Conn) { c.Close() }},
		"full": {`answers \"-ERR max number of clients reached\"`, func(c net.Conn) {
			_, _ = io.WriteString(c, "-ERR max number of clients reached\r\n")
			_, _ = c.Read(make([]byte, 100))
			c.Close()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, at(listen(t, c.serve)))
			r.until("the log says so", func() bool { return len(r.log.of(c.says)) > 0 })
			require.NoError(t, r.end(), "it ends when it is asked to")
		})
	}
}

// As above on a cluster: what kind of server it is shows only when it answers, and the session TTL follows from it.
func TestOpenBeforeTheClusterIsThere(t *testing.T) {
	cluster := servers.NewCluster(t, servers.ClusterOptions{})
	for _, node := range cluster.Nodes() {
		require.NoError(t, node.Pause())
	}
	r := run(t, cluster.ClientOption(), engine.WithPartitions(6))
	r.until("the log says so", func() bool { return len(r.log.of("cannot connect to Redis")) > 0 })
	for _, node := range cluster.Nodes() {
		require.NoError(t, node.Resume())
	}
	r.untilReady()
	client := cluster.Client(t)
	members, err := client.Do(t.Context(), client.B().Zrange().Key("{"+service+"-input}:sessions").Min("0").Max("-1").Build()).AsStrSlice()
	require.NoError(t, err)
	require.Contains(t, strings.Join(members, " "), "!of:20000:", "the TTL on record is that of a cluster")
	require.NoError(t, r.end())
}

// With New and the user's client, the client for renewals of WithDial waits likewise.
func TestNewBeforeTheServerOfRenewalsIsThere(t *testing.T) {
	main, away := servers.New(t), servers.New(t)
	require.NoError(t, away.Kill())
	client := main.Client(t)
	e, err := engine.New(client, service, engine.WithDial(away.ClientOption()))
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(context.Background()), "a client that never connected is closed")
}

// A server that lacks a command that scripts need is not supported, and that is said at the start, by engines and publishers.
func TestServersThatLackCommands(t *testing.T) {
	for _, command := range []string{"XPENDING", "EVALSHA"} {
		server := servers.New(t, servers.Args("--rename-command", command, ""))
		err := start(t, server.ClientOption())
		require.ErrorIs(t, err, api.ErrUnsupportedServer, command)
		require.ErrorContains(t, err, "Redis 6.2 or Valkey is required", command)
	}
	server := servers.New(t, servers.Args("--rename-command", "HSETNX", ""))
	p, _ := publisher(t, server.Client(t), service)
	_, err := p.Publish(t.Context(), "a", nil)
	require.ErrorIs(t, err, api.ErrUnsupportedServer)
}
