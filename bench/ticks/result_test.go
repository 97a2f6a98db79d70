package ticks

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/ticks/fired"
)

// cellOf is a cell of three rounds, in which locks cost ten times as much as two processes.
func cellOf(every time.Duration) Cell {
	c := Cell{Schedules: goalSchedules, Every: every}
	for i := range 3 {
		noise := 1 + float64(i-1)/10
		c.Rounds = append(c.Rounds, map[Model]Cost{
			One:   {Commands: 50 * noise, Redis: .04 * noise, Client: .05 * noise, P99: time.Duration(noise * 1e7)},
			Two:   {Commands: 60 * noise, Redis: .05 * noise, Client: .06 * noise},
			Locks: {Commands: 600 * noise, Redis: .5 * noise, Client: .6 * noise},
		})
	}
	return c
}

func TestTheReportShowsWhatWasMeasured(t *testing.T) {
	handover := Handover{End: Killed, Schedules: 5, Every: time.Second, Owned: 13 * time.Second, Findings: fired.Findings{MostOfOne: 2}}
	drained := Handover{End: Replaced, Schedules: 5, Every: time.Second, Took: time.Second}
	drained.Late.Max = 400 * time.Millisecond
	r := Result{
		Cells: []Cell{cellOf(time.Second), cellOf(30 * time.Second)}, Handovers: []Handover{drained, handover},
		Changes:  &Changes{Each: 3, Findings: fired.Findings{InForce: map[fired.What]measure.Latency{fired.Retime: {P99: 1300 * time.Millisecond}}}},
		Declared: &Declared{Schedules: goalDeclared, Same: []time.Duration{time.Second}},
		Many:     []Large{{Schedules: goalMany, Fired: 6e8, Start: time.Minute}},
	}
	require.NoError(t, r.broken())
	var out strings.Builder
	r.write(&out)
	for _, want := range []string{
		"Tickers and locks, times two processes: Redis 10.0, processes 10.0, commands 10.",
		"goal met     10,000 schedules, every 1s, one process: commands a second: 50, at most 60",
		"goal met     10,000 schedules, every 1s, one process: ms late, p99: 10, at most 20",
		"goal MISSED  10,000 schedules, every 30s, one process: commands a second: 50, at most 25",
		"goal met     replaced, 5 every 1s: ms late at most: 400, at most 500",
		"goal MISSED  killed, 5 every 1s: ticks of one schedule fired again: 2, at most 1",
		"goal MISSED  killed, 5 every 1s: seconds until all are owned: 13, at most 12",
		"goal MISSED  edited: other times: ms until it is in force, p99: 1,300, at most 1,200",
		"goal met     10,000 declared again: writes: 0, at most 0",
		"goal MISSED  10,000 declared again: seconds: 1, at most 0.30",
		"goal met     1,000,000 schedules: MB of the server: 600, at most 650",
		"goal MISSED  1,000,000 schedules: seconds until one process that starts owns all: 60, at most 45",
	} {
		require.Contains(t, out.String(), want)
	}
	require.Len(t, r.plots(), 4, "the server, the processes, lateness; changes")
	r.Handovers[0].Lost = 1
	require.ErrorContains(t, r.broken(), "replaced, 5 every 1s: a promise did not hold")
}
