package stream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// pair is a real server and the keyspace of this package, at the same time on their clocks and with the same history.
type pair struct {
	server       *servers.Server
	resp2, resp3 wire
	keys         keyspace
	now          time.Time
	compared     int
}

func newPair(t testing.TB) *pair {
	s, err := server()
	require.NoError(t, err)
	p := &pair{server: s, resp2: dial(t, s), resp3: dial(t, s)}
	_, err = p.resp3.call("HELLO", "3")
	require.NoError(t, err)
	p.reset(t)
	return p
}

// reset empties both and sets the clock to the first second of 1970, so that the IDs of the clock are small ones.
func (p *pair) reset(t require.TestingT) {
	p.keys = keyspace{}
	p.now = time.UnixMilli(1000)
	p.wait(t, 0)
	for _, args := range [][]string{{"FLUSHALL"}, {"SET", "text", "string"}} {
		_, err := p.resp2.call(args...)
		require.NoError(t, err)
	}
}

func (p *pair) wait(t require.TestingT, d time.Duration) {
	p.now = p.now.Add(d)
	require.NoError(t, p.server.FreezeClock(p.now))
}

func (p *pair) del(t require.TestingT, key string) {
	delete(p.keys, key)
	_, err := p.resp2.call("DEL", key)
	require.NoError(t, err)
}

// do runs a command on both, compares what goes over the wire, and returns the reply.
func (p *pair) do(t require.TestingT, resp3 bool, args ...string) Reply {
	w, version := p.resp2, 2
	if resp3 {
		w, version = p.resp3, 3
	}
	theirs, err := w.call(args...)
	require.NoError(t, err)
	reply, ok := Do(p.keys, p.now, args)
	require.True(t, ok, "%q is no command here", args[0])
	ours := string(encode(nil, reply, version))
	if unclear(args, theirs) {
		theirs = ours
	}
	require.Equal(t, theirs, ours, "%q", args)
	p.compared++
	return reply
}

// unclear reports whether a server says something about a full millisecond that depends on what failed before.
func unclear(args []string, reply string) bool {
	return is(args[0], "XADD") && strings.Contains(strings.Join(args, " "), "-*") && strings.HasPrefix(reply, "-ERR Elements are too large")
}

// keyspace has streams, and a string under the key text.
type keyspace map[string]*Stream

func (k keyspace) Stream(key string) (*Stream, error) {
	if key == "text" {
		return nil, Error("WRONGTYPE Operation against a key holding the wrong kind of value")
	}
	return k[key], nil
}

func (k keyspace) Create(key string) *Stream {
	k[key] = New()
	return k[key]
}

// wire is a connection to a server.
type wire struct {
	net.Conn
	*bufio.Reader
}

func dial(t testing.TB, s *servers.Server) wire {
	conn, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return wire{conn, bufio.NewReader(conn)}
}

// call returns the reply to a command as it is on the wire. One with BLOCK runs in a transaction, where nothing blocks.
func (w wire) call(args ...string) (string, error) {
	for _, arg := range args {
		if !is(arg, "BLOCK") {
			continue
		}
		if _, err := w.exchange("MULTI"); err != nil {
			return "", err
		}
		queued, err := w.exchange(args...)
		if err != nil {
			return "", err
		}
		reply, err := w.exchange("EXEC")
		if queued != "+QUEUED\r\n" {
			return queued, err
		}
		return strings.TrimPrefix(reply, "*1\r\n"), err
	}
	return w.exchange(args...)
}

func (w wire) exchange(args ...string) (string, error) {
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := w.Conn.Write(request); err != nil {
		return "", err
	}
	var reply strings.Builder
	err := w.read(&reply)
	return reply.String(), err
}

// read appends one reply to b.
func (w wire) read(b *strings.Builder) error {
	line, err := w.ReadString('\n')
	if err != nil {
		return err
	}
	b.WriteString(line)
	n, err := strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	items := 0
	switch line[0] {
	case '$':
		if err == nil && n >= 0 {
			_, err = io.CopyN(b, w.Reader, int64(n)+2)
		}
		return err
	case '*':
		items = n
	case '%':
		items = 2 * n
	default:
		return nil
	}
	for range items {
		if err := w.read(b); err != nil {
			return err
		}
	}
	return err
}

// encode appends a reply as it is on the wire in a version of the protocol.
func encode(b []byte, r Reply, version int) []byte {
	all := func(head string, items []Reply) []byte {
		b = append(b, head...)
		for _, item := range items {
			b = encode(b, item, version)
		}
		return b
	}
	switch r := r.(type) {
	case int64:
		return fmt.Appendf(b, ":%d\r\n", r)
	case string:
		return fmt.Appendf(b, "$%d\r\n%s\r\n", len(r), r)
	case Simple:
		return fmt.Appendf(b, "+%s\r\n", string(r))
	case Error:
		return fmt.Appendf(b, "-%s\r\n", string(r))
	case Null, NullArray:
		if version == 3 {
			return append(b, "_\r\n"...)
		} else if r == (Null{}) {
			return append(b, "$-1\r\n"...)
		}
		return append(b, "*-1\r\n"...)
	case []Reply:
		return all(fmt.Sprintf("*%d\r\n", len(r)), r)
	case Map:
		if version == 3 {
			return all(fmt.Sprintf("%%%d\r\n", len(r)/2), r)
		}
		return all(fmt.Sprintf("*%d\r\n", len(r)), r)
	case MapOfStreams:
		if version == 3 {
			return all(fmt.Sprintf("%%%d\r\n", len(r)/2), r)
		}
		b = fmt.Appendf(b, "*%d\r\n", len(r)/2)
		for ; len(r) > 0; r = r[2:] {
			b = encode(b, []Reply(r[:2]), version)
		}
		return b
	}
	panic(fmt.Sprintf("a reply of type %T", r))
}
