package behave_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// counted is how often scripts reached a server, by the way they came.
type counted struct {
	byHash   int64 // EVALSHA
	byText   int64 // EVAL
	loaded   int64 // SCRIPT LOAD
	unknown  int64 // NOSCRIPT
	readOnly int64 // EVAL_RO and EVALSHA_RO
}

func countScripts(t *testing.T, s *servers.Server) counted {
	t.Helper()
	commands, err := s.CommandStats(context.Background())
	require.NoError(t, err)
	errors, err := s.ErrorStats(context.Background())
	require.NoError(t, err)
	return counted{commands["evalsha"].Calls, commands["eval"].Calls, commands["script|load"].Calls, errors["NOSCRIPT"],
		commands["eval_ro"].Calls + commands["evalsha_ro"].Calls}
}

// TestScriptsAreSentByHash: the text of a script is sent to a server only after that server has replied that it does not know the
// script, once for each such reply, and never to another server. Every server counts.
//
// The script helpers of the client library send the text to all nodes with every call, so that one node that hangs fails the
// whole batch.
func TestScriptsAreSentByHash(t *testing.T) {
	const n = 500
	h := newHarness(t)
	base := make(map[*servers.Server]counted)
	for _, s := range h.data() {
		base[s] = countScripts(t, s)
	}
	// since returns what a server has counted in this test.
	since := func(s *servers.Server) counted {
		now, then := countScripts(t, s), base[s]
		return counted{now.byHash - then.byHash, now.byText - then.byText, now.loaded - then.loaded,
			now.unknown - then.unknown, now.readOnly - then.readOnly}
	}
	m := h.start("a", nil, engine.WithLeaseTTL(shortTTL))
	h.announce(names("s", n)...)
	m.holds(n)
	renewedTwice := func() {
		kept := m.metric("renewals_total", "result", "kept")
		until(t, "all are renewed twice", func() bool { return m.metric("renewals_total", "result", "kept") >= kept+2*n })
	}
	renewedTwice()

	// One of the servers forgets them all.
	forgetful := h.owner(h.layout.Keys(0).Slot)
	known := countScripts(t, forgetful).unknown
	_, err := forgetful.Call(context.Background(), "SCRIPT", "FLUSH")
	require.NoError(t, err)
	renewedTwice()
	require.Greater(t, countScripts(t, forgetful).unknown, known, "it has forgotten them")
	require.NoError(t, m.shutdown())

	var total counted
	for _, s := range h.data() {
		c := since(s)
		t.Logf("%s: %+v", s.Addr(), c)
		require.Equal(t, c.unknown, c.byText, "texts are sent for what is unknown")
		require.Zero(t, c.loaded)
		require.Zero(t, c.readOnly)
		if !slices.Contains(h.masters(), s) {
			require.Equal(t, counted{}, c, "a replica")
		}
		total.byHash += c.byHash
		total.byText += c.byText
	}
	require.Greater(t, total.byHash, 10*int64(h.layout.Partitions()))
	require.Less(t, total.byText, total.byHash/2)
	require.Zero(t, m.metric("disowned_total"))
	h.stateIs(state{Input: n})
}
