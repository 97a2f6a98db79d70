package memory

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wire is a connection that shows replies as they are on the wire.
type wire struct {
	net.Conn
	*bufio.Reader
}

func newWire(conn net.Conn) wire { return wire{conn, bufio.NewReader(conn)} }

// connect connects to a server in memory until the end of the test.
func connect(t testing.TB, s *Server) wire {
	t.Helper()
	conn, err := s.Link().Dial(context.Background(), "", nil, nil)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return newWire(conn)
}

func (w wire) send(t testing.TB, args ...string) {
	t.Helper()
	_, err := io.WriteString(w.Conn, request(args...))
	require.NoError(t, err)
}

func request(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b.String()
}

func (w wire) receive(t testing.TB) string {
	t.Helper()
	reply, err := w.reply()
	require.NoError(t, err)
	return reply
}

func (w wire) call(t testing.TB, args ...string) string {
	t.Helper()
	w.send(t, args...)
	return w.receive(t)
}

// reply returns one whole reply, or a push.
func (w wire) reply() (string, error) {
	line, err := w.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$':
		if n < 0 {
			return line, nil
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(w.Reader, text)
		return line + string(text), err
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return line, nil
	}
	for range n {
		item, err := w.reply()
		if err != nil {
			return "", err
		}
		line += item
	}
	return line, nil
}
