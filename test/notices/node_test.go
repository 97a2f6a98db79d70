package notices

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Pushes arrive byte for byte, on connections that have opted in and on no others, even in the middle of another push.
func TestNodeFollowsItsOptions(t *testing.T) {
	n, err := Listen(Options{Auth: "u p", Before: ">1\r\n+a\r\n", After: ">1\r\n+b\r\n"})
	require.NoError(t, err)
	defer n.Close()
	conn, err := net.Dial("tcp", n.Addr())
	require.NoError(t, err)
	defer conn.Close()
	say := func(words, answer string) {
		t.Helper()
		_, err := io.WriteString(conn, words)
		require.NoError(t, err)
		got := make([]byte, len(answer))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, answer, string(got))
	}
	say("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	require.Zero(t, n.Push("x"), "no connection has opted in")
	say("*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n",
		"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:3\r\n")
	say("*1\r\n$6\r\nCLIENT\r\n", ">1\r\n+a\r\n+OK\r\n>1\r\n+b\r\n")
	require.Equal(t, 1, n.Listening())
	require.Equal(t, 1, n.Push("12"))
	before := 0
	require.NoError(t, n.PushIn("3", func(sent int) { before = sent }, "4"))
	require.NoError(t, n.PushIn("", func(sent int) { require.Equal(t, before+1, sent) }, "5"))
	say("*1\r\n$4\r\nPING\r\n", "12345+PONG\r\n")
	require.Equal(t, 1, n.Pings())
	require.Len(t, n.Commands(), 3)
	n.Set(Options{Refuse: "-ERR no", Mute: true})
	say("*1\r\n$6\r\nCLIENT\r\n", "-ERR no\r\n")
	n.Drop()
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}
