package messages

import (
	"fmt"
	"io"
	"time"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
)

// Goals, against Blocking under the same load, at goalStreams streams, evenly.
const (
	goalStreams    = 10_000
	goalLatency    = 1.5 // of the median, at any rate
	goalSustained  = 3   // times the messages a second, where more are offered than either can
	goalDrained    = 2   // times the messages a second of a backlog
	goalLeave      = 1   // times what handing back the same streams takes that are owned and not read, positions included
	goalIdle       = 0.5 // % of a core of the server, more than the same streams cost that are owned and not read, at goalIdleAt
	goalIdleAt     = 100_000
	goalGoroutines = 100
	goalHeap       = 250 // bytes a stream, more than one that is owned and not read
	goalShortTable = 3   // % of a core, of server and reader each, where the table is short by a hundredth
	goalCheckpoint = 2.5 // µs of the server, for one that travels by itself
	goalAlong      = 1   // µs of the server, for one that travels with a renewal
	goalAcquire    = 1.1 // times the server's time for a stream without a checkpoint
	goalHung       = 2   // times the p99 of the other masters' messages
)

// goalsAt are the shares of processor time for a message, by messages a second.
var goalsAt = map[int]struct{ redis, client float64 }{10_000: {.45, .6}, 50_000: {.35, .35}}

// ratio is the median over the rounds of what a figure of Feed is of that of Blocking; 0: there is none.
func (c Cell) ratio(of func(Round, *Cost) float64) float64 {
	var all []float64
	for _, r := range c.Rounds {
		if r.Blocking != nil && r.Feed != nil {
			if against := of(r, r.Blocking); against > 0 {
				all = append(all, of(r, r.Feed)/against)
			}
		}
	}
	return measure.Median(all)
}

func netOf(r Round, c *Cost) float64      { return float64(r.net(c)) }
func clientOf(_ Round, c *Cost) float64   { return float64(c.Client) }
func p50Of(_ Round, c *Cost) float64      { return float64(c.P50) }
func servedOf(_ Round, c *Cost) float64   { return c.Served }
func drainedOf(d *Drain) float64          { return d.Rate }
func (c Cell) overload(o Options) bool    { return c.Rate == o.Most }
func (c Cell) compared() bool             { return c.Without == "" }
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }

func (r Result) goals(out io.Writer) {
	for _, c := range r.Cells {
		if c.Streams != goalStreams || c.Spread != load.Even || !c.compared() {
			continue
		}
		at := fmt.Sprintf("%s streams, %s/s: ", report.Grouped(c.Streams), report.Grouped(c.Rate))
		if c.overload(r.Options) {
			report.Goal(out, at+"messages a second, times a connection a stream", c.ratio(servedOf), "at least", goalSustained)
			continue
		}
		if goal, ok := goalsAt[c.Rate]; ok {
			report.Goal(out, at+"net Redis time, of a connection a stream", c.ratio(netOf), "at most", goal.redis)
			report.Goal(out, at+"client time, of a connection a stream", c.ratio(clientOf), "at most", goal.client)
		}
		report.Goal(out, at+"p50, of a connection a stream", c.ratio(p50Of), "at most", goalLatency)
	}
	for _, g := range r.Backlogs {
		if ratio := g.ratio(); g.Streams == goalStreams && ratio > 0 {
			report.Goal(out, fmt.Sprintf("%s streams: a backlog a second, times a connection a stream", report.Grouped(g.Streams)), ratio, "at least", goalDrained)
		}
	}
	for _, l := range r.Leaves {
		if l.Streams == goalStreams {
			report.Goal(out, fmt.Sprintf("%s streams: handing all back, times as long as without reading", report.Grouped(l.Streams)), l.ratio(), "at most", goalLeave)
		}
	}
	r.idleGoals(out)
	for _, t := range r.Tracking {
		if t.Share < 1 && t.Share > .9 {
			at := fmt.Sprintf("a table with room for %s: ", report.Percent(t.Share))
			report.Goal(out, at+"Redis, % of a core more", 100*(t.Idle.RedisCPU-t.Regular.RedisCPU), "at most", goalShortTable)
			report.Goal(out, at+"client, % of a core more", 100*(t.Idle.ClientCPU-t.Regular.ClientCPU), "at most", goalShortTable)
		}
	}
	if c := r.Checkpoints; c != nil {
		report.Goal(out, "a checkpoint by itself, µs of Redis", c.Alone.Seconds()*1e6, "at most", goalCheckpoint)
		report.Goal(out, "a checkpoint with a renewal, µs of Redis more", (c.Along-c.Renewed).Seconds()*1e6, "at most", goalAlong)
		report.Goal(out, "acquiring a stream with a checkpoint, of one without", float64(c.Read)/float64(c.Acquired), "at most", goalAcquire)
	}
	if h := r.Hung; h != nil && h.Before.P99 > 0 {
		report.Goal(out, "a master that hangs: p99 of the others, times as before", float64(h.During.P99)/float64(h.Before.P99), "at most", goalHung)
	}
}

func (r Result) idleGoals(out io.Writer) {
	owned := make(map[int]Idle)
	for _, i := range r.Idle {
		at := report.Grouped(i.Streams) + " streams, idle: "
		switch i.Model {
		case Owned:
			owned[i.Streams] = i
		case Feed:
			if i.Streams == goalIdleAt {
				report.Goal(out, at+"Redis, % of a core more than owned", 100*(i.RedisCPU-owned[i.Streams].RedisCPU), "at most", goalIdle)
			}
			report.Goal(out, at+"connections more than owned", float64(i.Connections-owned[i.Streams].Connections), "at most", 1)
			report.Goal(out, at+"goroutines", float64(i.Goroutines), "at most", goalGoroutines)
			if i.Streams >= goalStreams {
				report.Goal(out, at+"heap bytes a stream more than owned", i.Heap-owned[i.Streams].Heap, "at most", goalHeap)
			}
		}
	}
}

// ratio is the median over the rounds of how many times as fast Feed read a backlog; 0: not compared.
func (g Backlog) ratio() float64 {
	var all []float64
	for _, r := range g.Rounds {
		if r.Blocking != nil && r.Feed != nil {
			all = append(all, drainedOf(r.Feed)/drainedOf(r.Blocking))
		}
	}
	return measure.Median(all)
}
