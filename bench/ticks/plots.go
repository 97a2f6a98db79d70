package ticks

import (
	"fmt"

	"github.com/streamlease/streamlease/bench/page"
	"github.com/streamlease/streamlease/bench/report"
)

// plots shows what the models cost, and how soon changes are in force.
func (r Result) plots() (all []page.Plot) {
	for _, f := range []struct {
		title string
		of    func(Cost) float64
		show  func(float64) string
	}{
		{"The server's time, of a core", redisOf, report.Percent},
		{"The processes' time, of a core", clientOf, report.Percent},
		{"Late, p99, in ms", func(c Cost) float64 { return c.P99.Seconds() * 1e3 }, oneDecimal},
	} {
		b := page.Bars{Title: f.title, Log: true}
		for _, c := range r.Cells {
			for i, m := range models {
				if x := middle(c, m, f.of); x > 0 {
					b.Bars = append(b.Bars, page.Bar{Name: fmt.Sprintf("%s: %s", c.name(), m), Value: x, Text: f.show(x), Mark: i})
				}
			}
		}
		if len(b.Bars) > 0 {
			all = append(all, b)
		}
	}
	if r.Changes == nil {
		return all
	}
	b := page.Bars{Title: "Until a change is in force, in ms: p50 and p99"}
	for _, what := range kinds {
		l := r.Changes.InForce[what]
		b.Bars = append(b.Bars, page.Bar{Name: string(what) + ", p50", Value: l.P50.Seconds() * 1e3, Text: report.Milliseconds(l.P50)},
			page.Bar{Name: string(what) + ", p99", Value: l.P99.Seconds() * 1e3, Text: report.Milliseconds(l.P99), Mark: 1})
	}
	return append(all, b)
}
