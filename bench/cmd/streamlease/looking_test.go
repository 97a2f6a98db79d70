package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

func TestConsumersLagAndTop(t *testing.T) {
	f := newFleet(t, "b", "a")
	f.publish("user-1", "user-2", "user-3", "user-4", "bad-1", "snooze-1")
	f.settled(4, 1, 1)
	a, b := f.engines["a"].ID(), f.engines["b"].ID()

	runs := decoded[[]consumerRun](f, statusDone, "consumers")
	require.Len(t, runs, 2)
	require.Equal(t, []string{a, b, "a", "b"}, []string{runs[0].Name, runs[1].Name, runs[0].ConsumerID, runs[1].ConsumerID})
	require.Equal(t, 4, runs[0].Pending+runs[1].Pending)
	require.Len(t, runs[0].Partitions, shopPartition)
	require.NotNil(t, runs[0].Until)
	table := f.table("consumers")
	require.Contains(t, row(t, table, a), " alive in ")
	require.Contains(t, row(t, table, "2 consumers"), "2 alive 4")
	require.Less(t, strings.Index(table, a), strings.Index(table, b), "by name")

	backlogs := decoded[[]backlog](f, statusDone, "lag")
	require.Len(t, backlogs, shopPartition)
	require.Equal(t, 4, backlogs[0].Pending+backlogs[1].Pending)
	require.Equal(t, 1, backlogs[0].DeadLetters+backlogs[1].DeadLetters)
	table = f.table("lag")
	all := strings.Fields(row(t, table, "all"))
	require.Equal(t, []string{"all", "4", "0", "-", "4"}, all[:5])
	require.Equal(t, []string{"1", "0", "1", "0", "0"}, all[len(all)-5:], "delayed, due, dead letters, stranded, no body")

	seen := decoded[look](f, statusDone, "top", "-once")
	require.Equal(t, []string{a, b}, []string{seen.Processes[0].Name, seen.Processes[1].Name})
	require.Equal(t, []int{4, 4, 4, 1, 1, shopPartition}, []int{seen.Held, seen.Streams, seen.Pending, seen.Delayed, seen.DeadLetters, seen.Partitions})
	require.Equal(t, []wish{}, seen.Processes[0].Wishes)
	require.Empty(t, seen.Error)
	table = f.table("top", "-once")
	require.Contains(t, table, "announced 4   lag 0   pending 4   delayed 1   due 0   dead letters 1   stranded 0")
	require.Contains(t, row(t, table, a), " shares 1 ")
	require.Contains(t, row(t, table, "2 processes"), "2 4 4")

	// One dies when nobody is left to recover it.
	f.stop("b", patience)
	f.settled(4, 1, 1)
	f.kill("a")
	runs = decoded[[]consumerRun](f, statusDone, "consumers")
	require.Equal(t, string(scan.SessionDead), runs[0].State)
	require.Contains(t, row(t, f.table("consumers"), a), " dead ")
	seen = decoded[look](f, statusDone, "top", "-once")
	require.Equal(t, []int{1, 4}, []int{seen.Dead, seen.Held})
	table = f.table("top", "-once")
	require.Contains(t, table, "1 process, 1 dead\n")
	require.Contains(t, row(t, table, a), " dead ")
}

func TestWishes(t *testing.T) {
	f := newFleet(t, "a")
	require.Equal(t, []wish{}, decoded[[]wish](f, statusDone, "wishes"))
	require.Equal(t, "No wishes.\n", f.table("wishes"))
	for _, w := range []scan.Wish{
		{Kind: scan.WishWeight, Consumer: "a", Weight: 2.5, For: scan.MaxWish, Reason: "a large machine\u202e"},
		{Kind: scan.WishFreeze, For: scan.MaxWish},
	} {
		require.NoError(t, f.inspector.Ask(t.Context(), w))
	}
	all := decoded[[]wish](f, statusDone, "wishes")
	require.Len(t, all, 2)
	table := f.table("wishes")
	require.Contains(t, row(t, table, "weight"), "weight a 2.5 6 d 23 h ")
	require.Contains(t, table, `a large machine\u202e`)
	require.Contains(t, row(t, table, "freeze"), "freeze all 6 d 23 h ")

	table = f.table("top", "-once")
	require.Contains(t, table, "frozen: no stream moves to even out shares until ")
	require.Contains(t, row(t, table, f.engines["a"].ID()), "weight 2.5 for 6 d 23 h")
	seen := decoded[look](f, statusDone, "top", "-once")
	require.NotNil(t, seen.FrozenUntil)
	require.InDelta(t, 2.5, seen.Processes[0].Wishes[0].Weight, 0)
}

// What is not there, and what cannot be, has a status of its own, and nothing on stdout.
func TestStatuses(t *testing.T) {
	f := newFleet(t)
	f.publish("a")
	for want, all := range map[int][][]string{
		statusNothing: {
			{"lag", "-service", "nope"}, {"consumers", "-service", "nope"}, {"top", "-service", "nope"}, {"wishes", "-service", "nope", "-json"},
			{"schedules", "list", "-service", "nope"},
			{"schedules", "list", "nope"}, {"schedules", "list", "-prefix", "x"},
		},
		statusUsage: {
			{"lags"}, {"schedules", "lists"}, {"lag", "-what"}, {"consumers", "x"}, {"top", "-every", "1ms"}, {"top", "-every", "x"},
			{"lag", "-service", ""}, {"lag", "-service", "{"}, {"lag", "-timeout", "0s"}, {"lag", "-partitions", "1025"}, {"lag", "-redis", "x"}, {"lag", "-partitions", "3"},
			{"schedules", "list", "-limit", "-1"},
		},
		statusFailed: {{"lag", "-redis", "redis://127.0.0.1:1"}},
	} {
		for _, args := range all {
			status, out, errs := f.call(args...)
			require.Equal(t, want, status, "%q: %s%s", args, out, errs)
			require.Contains(t, errs, "streamlease: ", "%q", args)
		}
	}
}

func TestServiceOfTheEnvironment(t *testing.T) {
	f := newFleet(t)
	f.publish("a")
	t.Setenv("STREAMLEASE_REDIS_URL", "redis://"+f.server.Addr())
	t.Setenv(EnvService, shopName)
	status, out, errs := runIn(t, testEnv(""), "streamlease", "lag")
	require.Equal(t, statusDone, status, errs)
	require.Contains(t, row(t, out, "all"), "all 1 1 ")
	t.Setenv(EnvService, "")
	status, _, errs = runIn(t, testEnv(""), "streamlease", "lag")
	require.Equal(t, statusUsage, status)
	require.Contains(t, errs, "$STREAMLEASE_SERVICE is empty")
}

func TestHelp(t *testing.T) {
	f := newFleet(t)
	for _, args := range [][]string{{"holdings", "-h"}, {"holdings", "chat-1", "-h"}, {"help", "holdings"}} {
		status, out, errs := f.raw(args...)
		require.Equal(t, statusDone, status, errs)
		require.True(t, strings.HasPrefix(out, "NAME:\n   streamlease holdings - "), out)
	}
	status, _, _ := f.raw("help", "nope")
	require.Equal(t, statusUsage, status)
}
