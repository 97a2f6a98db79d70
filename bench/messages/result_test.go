package messages

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/load"
)

// cell is a load that costs the producer 4 µs of the server, and Blocking ten times Feed otherwise.
func cellOf(rate int, compared bool) Cell {
	c := Cell{Streams: goalStreams, Rate: rate, Spread: load.Even}
	for i := range 3 {
		noise := time.Duration(i) * time.Microsecond
		round := Round{
			None: &Cost{Redis: 4*time.Microsecond + noise},
			Feed: &Cost{Redis: 6*time.Microsecond + noise, Client: 3 * time.Microsecond, P50: time.Millisecond, Served: 1000},
		}
		if compared {
			round.Blocking = &Cost{Redis: 24*time.Microsecond + noise, Client: 30 * time.Microsecond, P50: 10 * time.Millisecond, Served: 100}
		}
		c.Rounds = append(c.Rounds, round)
	}
	if !compared {
		c.Without = "too many"
	}
	return c
}

func TestTheProducersPartIsTakenOffRoundByRound(t *testing.T) {
	c := cellOf(10_000, true)
	require.Equal(t, 2*time.Microsecond, c.net(Feed))
	require.Equal(t, 20*time.Microsecond, c.net(Blocking))
	require.InDelta(t, .1, c.ratio(netOf), 1e-9)
	require.InDelta(t, .1, c.ratio(clientOf), 1e-9)
	require.InDelta(t, 10, c.ratio(servedOf), 1e-9)
	require.Zero(t, cellOf(10_000, false).ratio(netOf))
	cheap := Round{None: &Cost{Redis: 5}, Feed: &Cost{Redis: 4}}
	require.Zero(t, cheap.net(cheap.Feed), "noise, and not less than nothing")
}

func TestTheReportShowsWhatIsMissing(t *testing.T) {
	r := Result{
		Options: Options{Streams: []int{goalStreams, 100_000}, Rates: []int{10_000}, Most: 100_000, Rounds: 3},
		Cells:   []Cell{cellOf(10_000, true), cellOf(50_000, true), cellOf(100_000, true), {Streams: 100_000, Rate: 10_000, Spread: load.Zipf, Without: "no ports", Rounds: cellOf(1, false).Rounds}},
		Idle: []Idle{
			{Streams: goalIdleAt, Model: None}, {Streams: goalIdleAt, Model: Owned, RedisCPU: .02, Heap: 300, Connections: 3},
			{Streams: goalIdleAt, Model: Feed, RedisCPU: .024, Heap: 500, Connections: 5},
		},
		Backlogs: []Backlog{{Streams: goalStreams, Rounds: []Drained{{Blocking: &Drain{Rate: 10}, Feed: &Drain{Rate: 25}}}}, {Streams: 100_000, Rounds: []Drained{{Feed: &Drain{Rate: 25}}}}},
		Leaves:   []Leave{{Streams: goalStreams, Rounds: []map[Model]Left{{Owned: {Took: time.Second}, Feed: {Took: 1500 * time.Millisecond}}}}},
		Tracking: []Tracked{{Share: 2}, {Share: .99, Idle: Idle{RedisCPU: .05}, Regular: Idle{RedisCPU: .01}}},
		Hung:     &Hung{},
		Left:     []string{"hung: the servers are not ours"},
	}
	var out strings.Builder
	r.write(&out)
	for _, want := range []string{
		"Nothing to compare with: no ports.",
		"Not measured: hung: the servers are not ours.",
		"goal met     10,000 streams, 10,000/s: net Redis time, of a connection a stream: 0.10, at most 0.45",
		"goal met     10,000 streams, 50,000/s: client time, of a connection a stream: 0.10, at most 0.35",
		"goal met     10,000 streams, 100,000/s: messages a second, times a connection a stream: 10, at least 3",
		"goal met     10,000 streams: a backlog a second, times a connection a stream: 2.50, at least 2",
		"goal MISSED  10,000 streams: handing all back, times as long as without reading: 1.50, at most 1",
		"goal met     100,000 streams, idle: Redis, % of a core more than owned: 0.40, at most 0.50",
		"goal MISSED  100,000 streams, idle: connections more than owned: 2, at most 1",
		"goal met     100,000 streams, idle: heap bytes a stream more than owned: 200, at most 250",
		"goal MISSED  a table with room for 99.0 %: Redis, % of a core more: 4, at most 3",
	} {
		require.Contains(t, out.String(), want)
	}
	require.Len(t, r.plots(), 4, "three of the number of streams that was measured at two rates, one of backlogs")
}

func TestAConnectionAStreamNeedsDescriptorsAndPorts(t *testing.T) {
	require.Empty(t, impossible(100))
	require.Contains(t, impossible(10_000_000), "a connection for each of 10,000,000 streams")
}

func TestTallyTellsStreamsApart(t *testing.T) {
	names := load.Names("user-", 100)
	low := load.Slots("0-8191")
	tally := tally{apart: low}
	now := time.Now()
	sent := func(i int) string { return []string{load.Value(now.Add(-time.Second), 3), load.Value(now, 4), "?"}[i] }
	tally.take(low.Of(names, true)[0], 3, sent)
	tally.take(low.Of(names, false)[0], 1, sent)
	var r Reader
	tally.into(&r)
	require.EqualValues(t, 4, r.Messages)
	require.EqualValues(t, 3+4+3, r.Sum)
	require.EqualValues(t, 1, r.Bad)
	require.EqualValues(t, 2, r.Apart.Count())
	require.EqualValues(t, 1, r.Latency.Count())
	require.GreaterOrEqual(t, r.Latency.Quantile(.5), time.Second)
	require.False(t, r.Last.Before(r.First))
}
