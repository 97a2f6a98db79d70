package dialer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whole values are counted, however they are cut; pushes and attributes are not.
func TestValuesAreCounted(t *testing.T) {
	one := []string{
		"+OK\r\n", "-ERR no\r\n", ":7\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123\r\n", "$-1\r\n", "*-1\r\n", "$0\r\n\r\n", "*0\r\n", "%0\r\n", "~0\r\n",
		"$5\r\na\r\nbc\r\n", "=5\r\ntxt:x\r\n", "!3\r\nERR\r\n", "*2\r\n:1\r\n*2\r\n+a\r\n$1\r\nb\r\n", "%1\r\n+k\r\n*1\r\n%1\r\n+a\r\n:1\r\n",
		"|1\r\n+ttl\r\n:1\r\n+OK\r\n", "*2\r\n|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "*1\r\n*0\r\n", "*1\r\n$-1\r\n", "|0\r\n:1\r\n",
	}
	none := []string{">2\r\n+invalidate\r\n*1\r\n+k\r\n", ">4\r\n+MOVING\r\n:1\r\n:2\r\n_\r\n"}
	rapid.Check(t, func(t *rapid.T) {
		var raw strings.Builder
		want := 0
		for range rapid.IntRange(1, 8).Draw(t, "values") {
			if rapid.Bool().Draw(t, "push") {
				raw.WriteString(rapid.SampledFrom(none).Draw(t, "none"))
				continue
			}
			raw.WriteString(rapid.SampledFrom(one).Draw(t, "one"))
			want++
		}
		var c counter
		got := 0
		for rest := raw.String(); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			values, _, _ := c.feed([]byte(rest[:n]))
			got, rest = got+values, rest[n:]
		}
		require.Equal(t, want, got, "%q", raw.String())
		require.True(t, c.idle())
		require.False(t, c.lost)
	})
}

func TestProbesAndRedirections(t *testing.T) {
	c := counter{commands: true}
	feed := func(raw string, values, probe, wait int) {
		t.Helper()
		n, p, w := c.feed([]byte(raw))
		require.Equal(t, []int{values, probe, wait}, []int{n, p, w})
	}
	feed(ping, 1, 1, 0)
	feed(get, 1, 0, 0)
	feed(get+"*1\r\n$4\r\nPI", 1, 0, 0)
	require.False(t, c.idle())
	feed("NG\r\n", 1, 1, 0)
	feed(get+ping+get+ping+get, 5, 4, 0)
	feed(get+ping+get+xreadgroup+ping+get, 6, 2, 4)
	for _, name := range []string{"XREAD", "BLPOP", "BRPOPLPUSH", "BZMPOP", "WAIT"} {
		feed(fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$1\r\nk\r\n", len(name), name), 1, 0, 1)
	}
	feed("*2\r\n$8\r\nBITCOUNT\r\n$5\r\nBLPOP\r\n", 1, 0, 0)
	feed("*3\r\n$10\r\nPSUBSCRIBE\r\n$1\r\nx\r\n$1\r\ny\r\n", 0, 0, 0) // answered by pushes
	feed("*2\r\n$11\r\nUNSUB", 0, 0, 0)
	feed("SCRIBE\r", 0, 0, 0)
	feed("\n$1\r\nx\r\n*2\r\n$3\r\nGET\r\n$9\r\nSUBSCRIBE\r\n", 1, 0, 0)
	feed("-MOVED 7 10.0.0.9:6379\r\n", 1, 0, 0)
	require.Equal(t, "MOVED 7 10.0.0.9:6379", string(c.moved))
}

// What is not RESP makes the counter useless, and it says so.
func TestNonsenseIsNotCounted(t *testing.T) {
	for _, raw := range []string{"PING\r\n", "\r\n", "$x\r\n", "*99999999999\r\n", "$?\r\n", strings.Repeat("x", longestHead+1)} {
		var c counter
		_, _, _ = c.feed([]byte(raw))
		require.True(t, c.lost, "%.20q", raw)
		require.False(t, c.idle())
	}
}
