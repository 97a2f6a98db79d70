package twin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/enginetest/internal/memory"
)

// TestDifferencesAreFound: in replies, in what time does to keys, and in what another server takes over. Each step says what the
// server in memory is supposed to have replied.
func TestDifferencesAreFound(t *testing.T) {
	pool := NewPool(t, 2)
	tw := pool.Twin()
	defer tw.Close()
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	first := tw.Begin("", at)
	id := first
	same := func(reply string, args ...string) {
		t.Helper()
		before := len(tw.differences)
		tw.Ran(memory.Command{Server: id, Session: 1, Now: at, Args: args, Reply: []byte(reply)})
		require.NoError(t, tw.err)
		require.Len(t, tw.differences, before, "%v", tw.differences)
	}
	differs := func(reply, real string, args ...string) {
		t.Helper()
		before := len(tw.differences)
		tw.Ran(memory.Command{Server: id, Session: 1, Now: at, Args: args, Reply: []byte(reply)})
		require.NoError(t, tw.err)
		require.Len(t, tw.differences, before+1, "%v", args)
		require.Equal(t, real, tw.differences[before].Real)
		require.Contains(t, tw.differences[before].String(), real)
		require.True(t, tw.Differs())
	}
	same("+OK\r\n", "SET", "k", "v", "PX", "5")
	at = at.Add(5 * time.Millisecond)
	same("$1\r\nv\r\n", "GET", "k")
	same(":2\r\n", "HSET", "h", "a", "1", "b", "2")
	same("*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\n1\r\n", "HGETALL", "h")
	same("*-1\r\n", "XREAD", "BLOCK", "0", "STREAMS", "s", "0")
	same("", "XREAD", "BLOCK", "1000", "STREAMS", "s", "0")
	same("*-1\r\n", "XREAD", "BLOCK", "1000", "STREAMS", "s", "0")
	same("$14\r\n946684800005-0\r\n", "XADD", "s", "*", "f", "v")
	id = tw.Begin(first, at)
	require.NotEqual(t, first, id)
	same("$1\r\nv\r\n", "GET", "k")
	differs("$1\r\nw\r\n", `$"v"`, "GET", "k")
	at = at.Add(time.Millisecond)
	differs("$1\r\nv\r\n", "null $", "GET", "k")
	differs("*4\r\n$1\r\na\r\n$1\r\n2\r\n$1\r\nb\r\n$1\r\n1\r\n", `*[$"a" $"1" $"b" $"2"]`, "HGETALL", "h")
	differs("*-1\r\n", "null $", "GET", "k")
	differs("$14\r\n946684800005-1\r\n", `$"946684800006-0"`, "XADD", "s", "*", "f", "v")
	require.Equal(t, 4, tw.Commands()["GET"]-1)
}
