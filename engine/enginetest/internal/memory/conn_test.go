package memory

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// inBubble runs a test on a server in virtual time.
func inBubble(t *testing.T, f func(t *testing.T, s *Server)) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		t.Cleanup(s.Close)
		f(t, s)
	})
}

// TestWaitingHoldsNothing: a command of miniredis that waits would hold up all other clients, and time.
func TestWaitingHoldsNothing(t *testing.T) {
	for _, args := range [][]string{
		{"BLPOP", "k", "2"}, {"BRPOPLPUSH", "k", "l", "2"}, {"BZPOPMIN", "k", "2"}, {"XREAD", "BLOCK", "2000", "STREAMS", "k", "$"},
	} {
		inBubble(t, func(t *testing.T, s *Server) {
			w, other := connect(t, s), connect(t, s)
			start := time.Now()
			w.send(t, args...)
			synctest.Wait()
			require.Equal(t, "+PONG\r\n", other.call(t, "PING"))
			require.Equal(t, start, time.Now())
			require.Equal(t, "*-1\r\n", w.receive(t), "%q", args)
			require.Equal(t, 2*time.Second, time.Since(start), "%q", args)
			require.Equal(t, "+PONG\r\n", w.call(t, "PING"))
		})
	}
}

// TestClientsThatWaitAreServedInTheirOrder, each once, within the command that brought what they wait for.
func TestClientsThatWaitAreServedInTheirOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server) {
		first, second, third, other := connect(t, s), connect(t, s), connect(t, s), connect(t, s)
		other.call(t, "XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
		for _, w := range []wire{first, second, third} {
			w.send(t, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "COUNT", "1", "STREAMS", "s", ">")
			synctest.Wait()
		}
		other.call(t, "EVAL", "for i = 1, 2 do redis.call('XADD', 's', i .. '-0', 'a', 'b') end", "0")
		require.Contains(t, first.receive(t), "1-0")
		require.Contains(t, second.receive(t), "2-0")
		other.call(t, "XADD", "s", "3-0", "a", "b")
		require.Contains(t, third.receive(t), "3-0")

		first.send(t, "BLPOP", "l", "0")
		synctest.Wait()
		require.Equal(t, ":1\r\n", other.call(t, "CLIENT", "UNBLOCK", "1", "ERROR"))
		require.Equal(t, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n", first.receive(t))
		require.Equal(t, ":0\r\n", other.call(t, "CLIENT", "UNBLOCK", "1"))
	})
}

// TestKeysExpireWhenTheirTimeHasPassed, not before, and say so at that moment to who listens.
func TestKeysExpireWhenTheirTimeHasPassed(t *testing.T) {
	for _, version := range []string{"2", "3"} {
		inBubble(t, func(t *testing.T, s *Server) {
			w, listener := connect(t, s), connect(t, s)
			listener.call(t, "HELLO", version)
			require.Equal(t, "+OK\r\n", w.call(t, "CONFIG", "SET", "notify-keyspace-events", "Ex"))
			listener.call(t, "PSUBSCRIBE", "__keyevent@*__:expired")
			start := time.Now()
			w.call(t, "SET", "k", "v", "PX", "3000")
			w.call(t, "SET", "l", "v", "PX", "2000")
			w.call(t, "PEXPIRE", "l", "2500")
			w.call(t, "ZADD", "z", "1", "m")
			w.call(t, "EXPIRE", "z", "1")
			w.call(t, "PERSIST", "z")
			event := listener.receive(t)
			require.Equal(t, 2501*time.Millisecond, time.Since(start))
			require.True(t, strings.HasSuffix(event, "__keyevent@0__:expired\r\n$1\r\nl\r\n"), "%q", event)
			require.Equal(t, map[string]string{"2": "*", "3": ">"}[version], event[:1])
			time.Sleep(499 * time.Millisecond)
			require.Equal(t, ":0\r\n", w.call(t, "PTTL", "k"))
			listener.receive(t)
			require.Equal(t, 3001*time.Millisecond, time.Since(start))
			require.Equal(t, ":-2\r\n", w.call(t, "PTTL", "k"))
			require.Equal(t, ":1\r\n", w.call(t, "ZCARD", "z"))
		})
	}
}

// TestPublishedMessagesReachWhoIsSubscribed once for each way in which it is.
func TestPublishedMessagesReachWhoIsSubscribed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server) {
		w, other := connect(t, s), connect(t, s)
		w.call(t, "SUBSCRIBE", "news")
		w.call(t, "PSUBSCRIBE", "n[a-f]w?")
		require.Equal(t, ":2\r\n", other.call(t, "PUBLISH", "news", "hi"))
		require.Equal(t, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n", w.receive(t))
		require.Equal(t, "*4\r\n$8\r\npmessage\r\n$8\r\nn[a-f]w?\r\n$4\r\nnews\r\n$2\r\nhi\r\n", w.receive(t))
		require.Equal(t, "*2\r\n$4\r\nnews\r\n:1\r\n", other.call(t, "PUBSUB", "NUMSUB", "news"))
		w.Close()
		synctest.Wait()
		require.Equal(t, ":0\r\n", other.call(t, "PUBLISH", "news", "hi"))
	})
}

// TestMalformedRequestsEndTheConnection and nothing else; what they claim to bring costs no memory.
func TestMalformedRequestsEndTheConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server) {
		other := connect(t, s)
		for _, text := range []string{
			"PING\r\n", "\r\n", "*x\r\n", "*1\r\n+PING\r\n", "*99999999999\r\n", "*2000000\r\n", "*1\r\n$-1\r\n", "*1\r\n$99999999999\r\n",
			"*1\r\n$4\r\nPINGxx", "*1\r\n$3\r\nPING\r\n", "*" + strings.Repeat("1", maxLine) + "\r\n", "\x00\xff\n",
		} {
			w := connect(t, s)
			go io.WriteString(w.Conn, text) // the server may stop reading
			reply, _ := w.reply()
			require.True(t, strings.HasPrefix(reply, "-ERR Protocol error: "), "%.40q: %q", text, reply)
			_, err := w.ReadByte()
			require.ErrorIs(t, err, io.EOF, "%.40q", text)
		}
		claimed := connect(t, s)
		_, err := io.WriteString(claimed.Conn, "*1000000\r\n$500000000\r\nabc")
		require.NoError(t, err)
		require.Equal(t, "+PONG\r\n", other.call(t, "PING"))
	})
}

// TestPipelinesAreAnsweredInOrder, and a client that does not read holds up nobody.
func TestPipelinesAreAnsweredInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server) {
		w, other := connect(t, s), connect(t, s)
		const n = 1000
		_, err := io.WriteString(w.Conn, strings.Repeat(request("INCR", "n"), n)+"*0\r\n"+request("QUIT"))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, "$4\r\n1000\r\n", other.call(t, "GET", "n"))
		for i := range n {
			require.Equal(t, encode(int64(i+1), false), w.receive(t))
		}
		require.Equal(t, "+OK\r\n", w.receive(t))
		_, err = w.ReadByte()
		require.ErrorIs(t, err, io.EOF)
	})
}

// TestWatchIsRefused: a transaction would run whatever became of the keys.
func TestWatchIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server) {
		require.Contains(t, connect(t, s).call(t, "WATCH", "k"), "-ERR WATCH is not supported")
	})
}

// TestPasswordIsAskedFor before anything else.
func TestPasswordIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server) {
		s.Require("secret")
		w := connect(t, s)
		require.Equal(t, "-NOAUTH Authentication required.\r\n", w.call(t, "GET", "k"))
		require.Equal(t, "-NOAUTH Authentication required.\r\n", w.call(t, "PING"))
		require.Contains(t, w.call(t, "AUTH", "wrong"), "-WRONGPASS")
		require.Contains(t, w.call(t, "HELLO", "3"), "-NOAUTH")
		require.Equal(t, "+OK\r\n", w.call(t, "AUTH", "secret"))
		require.Equal(t, "+PONG\r\n", w.call(t, "PING"))
		require.Contains(t, connect(t, s).call(t, "HELLO", "3", "AUTH", "default", "secret"), "server")
	})
}

// TestStoppedServerLeavesNothing: connections that wait, that are subscribed and that do not read end, and their goroutines.
func TestStoppedServerLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *Server) {
		waiting, subscribed, deaf := connect(t, s), connect(t, s), connect(t, s)
		waiting.send(t, "BLPOP", "k", "0")
		subscribed.call(t, "CONFIG", "SET", "notify-keyspace-events", "Ex")
		subscribed.call(t, "SUBSCRIBE", "__keyevent@0__:expired")
		deaf.send(t, "SET", "k2", "v", "PX", "1000")
		synctest.Wait()
		s.Restart(true)
		for _, w := range []wire{waiting, subscribed} {
			_, err := w.ReadByte()
			require.Error(t, err)
		}
		w := connect(t, s)
		require.Equal(t, "$1\r\nv\r\n", w.call(t, "GET", "k2"))
		time.Sleep(2 * time.Second)
		require.Equal(t, "$-1\r\n", w.call(t, "GET", "k2"))
	})
}

// TestServeEndsWithItsListener, on TCP as well.
func TestServeEndsWithItsListener(t *testing.T) {
	s := New()
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, "+PONG\r\n", newWire(conn).call(t, "PING"))
	require.NoError(t, l.Close())
	require.NoError(t, <-served)
}

func FuzzReadCommand(f *testing.F) {
	f.Add(request("SET", "a", "b"))
	f.Add("*1\r\n$4\r\nPING\r\n*0\r\n")
	f.Add("*-1\r\n$5\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReader(strings.NewReader(text))
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			require.NotEmpty(t, args)
		}
	})
}
