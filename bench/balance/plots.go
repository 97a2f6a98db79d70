package balance

import (
	"fmt"

	"github.com/streamlease/streamlease/bench/page"
)

// mostSeries is how many lines of a plot differ in how they look.
const mostSeries = 4

// plots shows the shares over time, and how long it takes until a stream is owned.
func (r Result) plots() (all []page.Plot) {
	for _, c := range r.Changes {
		all = append(all, plotOf(c.heading()+": streams of each process", c.Series))
	}
	if r.Steady != nil {
		all = append(all, plotOf("streams end and come again: streams of each process", r.Steady.Series))
	}
	if len(r.Added) == 0 {
		return all
	}
	b := page.Bars{Title: "Milliseconds until an announced stream is owned"}
	for _, a := range r.Added {
		for _, q := range quantiles {
			for fleet, name := range []string{"with the balance", "without"} {
				ms := q.of(a.Latency[fleet]).Seconds() * 1e3
				b.Bars = append(b.Bars, page.Bar{Name: fmt.Sprintf("%s, %s, %s", a.name(), q.name, name), Value: ms, Text: fmt.Sprintf("%.2f", ms), Mark: fleet})
			}
		}
	}
	return append(all, b)
}

func plotOf(title string, series []Sample) page.Plot {
	l := page.Lines{Title: title, X: "seconds", Y: "streams"}
	if len(series) == 0 {
		return l
	}
	names, values := columnsOf(series, mostSeries)
	for k, name := range names {
		line := page.Series{Name: name}
		for i, n := range values[k] {
			if n >= 0 {
				line.Points = append(line.Points, page.Point{X: series[i].At.Seconds(), Y: float64(n)})
			}
		}
		l.Series = append(l.Series, line)
	}
	return l
}
