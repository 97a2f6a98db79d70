package proxy

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// patience is how long a test waits for what must arrive; nearly all of it goes unused.
const patience = 20 * time.Second

// silence is how long a test listens for what must not arrive.
const silence = 30 * time.Millisecond

func start(t *testing.T) (*servers.Server, *Proxy) {
	t.Helper()
	s := servers.New(t)
	return s, New(t, s.Addr())
}

func connect(t *testing.T, p *Proxy, change ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	opt := p.ClientOption()
	for _, f := range change {
		f(&opt)
	}
	c, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// wire is a plain connection, for tests that have to know what is in a pipeline.
type wire struct {
	net.Conn
	t *testing.T
	d *decoder
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &wire{Conn: conn, t: t, d: newDecoder(conn)}
}

func (w *wire) send(lines ...string) {
	w.t.Helper()
	_, err := w.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	require.NoError(w.t, err)
}

func (w *wire) expect(want ...string) {
	w.t.Helper()
	for _, text := range want {
		raw, err := w.d.reply()
		require.NoError(w.t, err)
		require.Equal(w.t, text, string(raw))
	}
}

func (w *wire) expectSilence() {
	w.t.Helper()
	require.NoError(w.t, w.SetReadDeadline(time.Now().Add(silence)))
	raw, err := w.d.reply()
	require.ErrorIs(w.t, err, os.ErrDeadlineExceeded, "got %q", raw)
	require.NoError(w.t, w.SetReadDeadline(time.Now().Add(patience)))
}

func (w *wire) expectReset() {
	w.t.Helper()
	raw, err := w.d.reply()
	require.True(w.t, errors.Is(err, syscall.ECONNRESET), "got %q, %v", raw, err)
}

// number returns the integer at a key of the server, bypassing the proxy.
func number(t *testing.T, s *servers.Server, key string) string {
	t.Helper()
	w := dial(t, s.Addr())
	defer w.Close()
	w.send("INCRBY " + key + " 0")
	raw, err := w.d.reply()
	require.NoError(t, err)
	return strings.TrimSpace(string(raw[1:]))
}
