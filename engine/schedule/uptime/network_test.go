package main

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

func TestOnlyAProcessThatFailsAloneIsOffline(t *testing.T) {
	server := servers.New(t)
	client := server.Client(t)
	join := func(name string) *network { return newNetwork(client, "network", name, slog.New(slog.DiscardHandler)) }
	a, b, c := join("a"), join("b"), join("c")
	note := func(n *network, checked, failed int) {
		for i := range checked {
			n.note(fmt.Sprint(i), i < failed)
		}
	}
	look := func(n *network) bool {
		n.compare(t.Context())
		return n.offline.Load()
	}

	note(a, 10, 10)
	require.False(t, look(a), "nobody else tells anything")
	note(b, 10, 1)
	require.False(t, look(b))
	require.True(t, look(a), "the others' monitors are fine")
	note(a, 10, 5)
	require.False(t, look(a), "half of them are fine")

	note(b, 10, 9)
	require.True(t, look(b), "5 of the others' 10 fail, no more than half")
	note(a, 10, 10)
	require.False(t, look(a), "the others fail, too: it is the targets")
	require.False(t, look(b))

	note(c, 4, 4)
	note(a, 10, 0)
	look(a)
	require.False(t, look(c), "four are too few to say")

	note(b, 10, 9)
	require.True(t, look(b))
	require.NoError(t, server.Stop())
	require.True(t, look(b), "it reaches neither targets nor Redis")
	require.False(t, look(a), "it reaches all but Redis")
}

func TestResultsCountForTenSeconds(t *testing.T) {
	n := newNetwork(nil, "", "", nil)
	n.note("a", true)
	n.note("b", false)
	n.note("b", true)
	require.Equal(t, tally{2, 2}, n.tally())
	n.results["a"] = result{time.Now().Add(-networkWindow), true}
	require.Equal(t, tally{1, 1}, n.tally())
}
