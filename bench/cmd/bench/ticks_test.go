package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/soak/firing"
	"github.com/streamlease/streamlease/bench/ticks"
	"github.com/streamlease/streamlease/bench/ticks/fired"
	"github.com/streamlease/streamlease/test/servers"
)

// TestTicksAreMeasured in a run that is as short as it can be, on a server that is not ours, which is left as it was. That no tick was lost, the
// command checks by itself.
func TestTicksAreMeasured(t *testing.T) {
	parallel(t)
	server := servers.New(t)
	r := results[ticks.Result](t, "ticks", "-schedules", "60", "-every", "200ms", "-for", "500ms", "-moved", "60", "-moved-every", "300ms", "-changed", "5",
		"-declared", "600", "-many", "3000", "-many-every", "500ms", "-rest", "500ms", "-session-ttl", "1s", "-json", "-redis", "redis://"+server.Addr())
	require.Len(t, r.Cells, 1)
	for _, m := range []ticks.Model{ticks.One, ticks.Two, ticks.Locks} {
		cost := r.Cells[0].Rounds[0][m]
		require.InEpsilon(t, 300, cost.Ticks, .5, m)
		require.Positive(t, cost.Redis, m)
		require.Positive(t, cost.Client, m)
		require.Positive(t, cost.Max, m)
		require.LessOrEqual(t, cost.P50, cost.P99, m)
	}
	require.Greater(t, r.Cells[0].Rounds[0][ticks.Locks].Commands, r.Cells[0].Rounds[0][ticks.Two].Commands)
	require.Len(t, r.Handovers, 2)
	for _, h := range r.Handovers {
		require.Zero(t, h.Faults())
		require.Greater(t, h.Ticks, 60)
		require.GreaterOrEqual(t, h.Ownerships, 60)
	}
	require.Zero(t, r.Changes.Faults())
	for _, what := range []fired.What{fired.Create, fired.Retime, fired.Reword, fired.Remove, fired.Trigger} {
		// Those do not count during which a process did not run, the machine being busy.
		require.True(t, r.Changes.InForce[what].P50 > 0 || r.Changes.Disturbed > 0, what)
	}
	require.Len(t, r.Declared.Same, 9)
	require.Zero(t, r.Declared.Writes)
	require.Len(t, r.Many, 1)
	require.Positive(t, r.Many[0].Start)
	require.Positive(t, r.Many[0].Declared)
	require.Greater(t, r.Many[0].Owned, r.Many[0].Declared)
	for _, key := range keysOf(t, server.Client(t)) {
		require.Contains(t, key, ":user-", "a lock, which expires by itself")
	}
}

func TestTicksRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"-schedules", "0"}, {"-every", "1ms"}, {"-every", "often"}, {"-for", "1ms"}, {"-rounds", "0"}, {"-moved", "0"}, {"-moved-every", "0s"},
		{"-changed", "0"}, {"-declared", "0"}, {"-many", "none"}, {"-many-every", "1ms"}, {"-rest", "-1s"}, {"-session-ttl", "1ms"}, {"-parts", "half"},
		{"-redis", "redis://127.0.0.1:1"},
	} {
		requireRefused(t, append([]string{"ticks"}, args...)...)
	}
}

// TestSoakOfTicksHoldsWhatIsPromised in a short form, with troubles of processes only: those of a cluster take longer.
func TestSoakOfTicksHoldsWhatIsPromised(t *testing.T) {
	parallelSoak(t)
	s := results[firing.Result](t, "soak", "ticks", "-for", "14s", "-schedules", "200", "-partitions", "2", "-changes", "8", "-lease-ttl", "7s",
		"-session-ttl", "2500ms", "-seed", "5", "-spare", "-json")
	require.NotEmpty(t, s.Struck)
	require.Greater(t, s.Ticks, 1000)
	require.GreaterOrEqual(t, s.Ownerships, 200)
	require.NotEmpty(t, s.Changed)
	require.True(t, len(s.InForce) > 0 || s.Disturbed > 0)
	require.Zero(t, s.Faults())
	require.Empty(t, s.BadEnds)
	require.Empty(t, s.Errors)
	require.Empty(t, s.Differs)
}

func TestSoakOfTicksRefusesWhatMakesNoSense(t *testing.T) {
	parallel(t)
	for _, args := range [][]string{
		{"-processes", "0"}, {"-schedules", "0"}, {"-partitions", "0"}, {"-for", "0s"}, {"-changes", "0"}, {"-lease-ttl", "0s"}, {"-session-ttl", "1m"},
		{"-redis", "redis://127.0.0.1:1"},
	} {
		requireRefused(t, append([]string{"soak", "ticks"}, args...)...)
	}
}
