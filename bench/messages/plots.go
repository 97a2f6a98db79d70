package messages

import (
	"fmt"
	"time"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/page"
	"github.com/streamlease/streamlease/bench/report"
)

// plots shows costs and latencies over rates, a plot for each number of streams, and the backlogs.
func (r Result) plots() (all []page.Plot) {
	for _, n := range r.Options.Streams {
		var cells []Cell
		for _, c := range r.Cells {
			if c.Streams == n && c.Spread == load.Even && !c.overload(r.Options) {
				cells = append(cells, c)
			}
		}
		if len(cells) > 1 {
			all = append(all, plotsOf(n, cells)...)
		}
	}
	return append(all, r.plotBacklogs()...)
}

func plotsOf(streams int, cells []Cell) []page.Plot {
	on := report.Grouped(streams) + " streams, evenly: "
	micros := func(d time.Duration) float64 { return d.Seconds() * 1e6 }
	millis := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	client := func(c *Cost) time.Duration { return c.Client }
	p50 := func(c *Cost) time.Duration { return c.P50 }
	p99 := func(c *Cost) time.Duration { return c.P99 }
	var redis, reader, latency []page.Series
	for _, m := range []Model{Blocking, Feed} {
		if len(cells[0].of(m)) == 0 {
			continue
		}
		redis = append(redis, series(names[m], cells, func(c Cell) float64 { return micros(c.net(m)) }))
		reader = append(reader, series(names[m], cells, func(c Cell) float64 { return micros(middle(c.of(m), client)) }))
		latency = append(latency,
			series(names[m]+", p50", cells, func(c Cell) float64 { return millis(middle(c.of(m), p50)) }),
			series(names[m]+", p99", cells, func(c Cell) float64 { return millis(middle(c.of(m), p99)) }))
	}
	const x = "messages a second"
	return []page.Plot{
		page.Lines{Title: on + "the server's time", X: x, Y: "µs a message, without the producer's", LogX: true, Series: redis},
		page.Lines{Title: on + "the client's time", X: x, Y: "µs a message", LogX: true, Series: reader},
		page.Lines{Title: on + "from producer to handler", X: x, Y: "ms", LogX: true, LogY: true, Series: latency},
	}
}

// series is a figure of cells over their rates.
func series(name string, cells []Cell, of func(Cell) float64) page.Series {
	s := page.Series{Name: name}
	for _, c := range cells {
		s.Points = append(s.Points, page.Point{X: float64(c.Rate), Y: of(c)})
	}
	return s
}

func (r Result) plotBacklogs() []page.Plot {
	b := page.Bars{Title: "Messages a second of a backlog"}
	for _, g := range r.Backlogs {
		for i, m := range []Model{Blocking, Feed} {
			var all []*Drain
			for _, round := range g.Rounds {
				if d := map[Model]*Drain{Blocking: round.Blocking, Feed: round.Feed}[m]; d != nil {
					all = append(all, d)
				}
			}
			if len(all) == 0 {
				continue
			}
			rate := ofDrains(all, drainedOf)
			b.Bars = append(b.Bars, page.Bar{Name: fmt.Sprintf("%s streams, %s", report.Grouped(g.Streams), names[m]), Value: rate, Text: report.Grouped(rate), Mark: i})
		}
	}
	if len(b.Bars) == 0 {
		return nil
	}
	return []page.Plot{b}
}
