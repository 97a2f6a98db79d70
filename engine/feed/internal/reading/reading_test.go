package reading

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// A message is read as soon as it is written, with the sweep turned off, whether its stream existed before or not.
func TestRings(t *testing.T) {
	each(t, func(t *testing.T, s *servers.Server) {
		call(t, s, "XADD", "old", "5-0", "n", "1", "n", "2", "empty", "")
		r := start(t, s.ClientOption(), nil)
		old, absent := newSource("old"), newSource("absent")
		old.add(r)
		absent.add(r)
		eventually(t, "what was there", func() bool { return old.seen() == 1 })
		require.Equal(t, []Message{{ID: "5-0", Fields: []Field{{"n", "1"}, {"n", "2"}, {"empty", ""}}}}, old.got)
		allResting(t, r)
		for i := range 20 {
			call(t, s, "XADD", "old", "*", "a", "b")
			call(t, s, "XADD", "absent", "*", "a", "b")
			eventually(t, "what was added", func() bool { return old.seen() == i+2 && absent.seen() == i+1 })
		}
		info, ok := absent.lastInfo()
		require.True(t, ok, "an empty first read is followed by a look")
		require.Equal(t, Info{Added: 0}, info)
		stats := r.Stats()
		require.Zero(t, stats.UsedBytes)
		require.Equal(t, int64(41), stats.Count(Messages))
		require.NotZero(t, stats.Count(Rings))
	})
}

// Streams with more than one page take their turns.
func TestBacklogs(t *testing.T) {
	s := servers.New(t)
	client := s.Client(t)
	const streams, each = 50, 1000
	for i := range streams {
		for n := range each {
			client.Do(t.Context(), client.B().Xadd().Key(fmt.Sprint("s", i)).Id("*").FieldValue().FieldValue("n", fmt.Sprint(n+1)).Build())
		}
	}
	r := start(t, s.ClientOption(), nil)
	sources := make([]*source, streams)
	for i := range sources {
		sources[i] = newSource(fmt.Sprint("s", i))
		sources[i].add(r)
	}
	for _, src := range sources {
		eventually(t, "all", func() bool { return src.seen() == each })
		require.Empty(t, src.gaps)
	}
	allResting(t, r)
	eventually(t, "no memory is in use", func() bool { return r.Stats().UsedBytes == 0 }) // a read that is on its way has its part
}

// Where nothing rang, one command arms many streams, and whether those exist that are at their start is asked of many at a time, not by scripts.
func TestQuietStreamsShareCommands(t *testing.T) {
	each(t, func(t *testing.T, s *servers.Server) {
		r := start(t, s.ClientOption(), nil)
		const streams = 1000
		sources := make([]*source, streams)
		for i := range sources {
			sources[i] = newSource(fmt.Sprint("s", i))
			sources[i].add(r)
		}
		allResting(t, r)
		for _, src := range sources {
			_, ok := src.lastInfo()
			require.True(t, ok)
		}
		require.Less(t, calls(t, s, "xread"), streams/8)
		require.Less(t, calls(t, s, "exists"), streams/4)
		require.Zero(t, calls(t, s, "evalsha"))
		for i := range sources {
			call(t, s, "XADD", fmt.Sprint("s", i), "*", "a", "b")
		}
		for _, src := range sources {
			eventually(t, "what was added", func() bool { return src.seen() == 1 })
		}
	})
}

// calls returns how often a server has executed a command.
func calls(t *testing.T, s *servers.Server, command string) int {
	t.Helper()
	_, after, _ := strings.Cut(call(t, s, "INFO", "commandstats"), "cmdstat_"+command+":calls=")
	text, _, _ := strings.Cut(after, ",")
	n, _ := strconv.Atoi(text) // 0: never
	return n
}

// A stream that cannot be read keeps no other from being read with it.
func TestStreamOfAnotherTypeAmongMany(t *testing.T) {
	each(t, func(t *testing.T, s *servers.Server) {
		const streams = 100
		for i := range streams {
			if i == 50 {
				call(t, s, "SET", fmt.Sprint("s", i), "x")
			} else {
				call(t, s, "XADD", fmt.Sprint("s", i), "*", "a", "b")
			}
		}
		r := start(t, s.ClientOption(), nil)
		sources := make([]*source, streams)
		for i := range sources {
			sources[i] = newSource(fmt.Sprint("s", i))
			sources[i].add(r)
		}
		for i, src := range sources {
			if i == 50 {
				eventually(t, "the error", func() bool { return len(src.failures()) == 1 })
				require.True(t, Permanent(src.failures()[0]))
			} else {
				eventually(t, "the others", func() bool { return src.seen() == 1 })
			}
		}
	})
}
