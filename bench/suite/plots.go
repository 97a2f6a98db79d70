package suite

import (
	"fmt"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/page"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/wheel"
)

// over is the series of a figure y of all results over a figure x.
func over[T any](name string, all []T, x, y func(T) float64) page.Series {
	s := page.Series{Name: name}
	for _, r := range all {
		s.Points = append(s.Points, page.Point{X: x(r), Y: y(r)})
	}
	return s
}

func plotHeld(all []Held) []page.Plot {
	if len(all) < 2 {
		return nil
	}
	n := func(h Held) float64 { return float64(h.Streams) }
	lines := func(title, y string, series ...page.Series) page.Plot {
		return page.Lines{Title: title, X: "streams", Y: y, LogX: true, Series: series}
	}
	return []page.Plot{
		lines("Processor time", "% of a core",
			over("Redis", all, n, func(h Held) float64 { return 100 * h.RedisCPU }),
			over("client", all, n, func(h Held) float64 { return 100 * h.ClientCPU })),
		lines("Lateness of renewals", "ms",
			over("p50", all, n, func(h Held) float64 { return h.LatenessP50.Seconds() * 1000 }),
			over("p99", all, n, func(h Held) float64 { return h.LatenessP99.Seconds() * 1000 })),
		lines("Goroutines", "of the library and its clients",
			over("holding", all, n, func(h Held) float64 { return float64(h.Goroutines) }),
			over("most, while taking", all, n, func(h Held) float64 { return float64(h.Peak) })),
		lines("Commands", "a second, as clients send them",
			over("commands", all, n, func(h Held) float64 { return h.Commands })),
	}
}

func plotFailedOver(all []FailedOver) []page.Plot {
	b := page.Bars{Title: "Longest time without an owner"}
	for _, f := range all {
		mark, end := 0, "clean stop"
		if f.Killed {
			mark, end = 1, "SIGKILL"
		}
		b.Bars = append(b.Bars, page.Bar{
			Name:  fmt.Sprintf("%s, session TTL %v", end, f.SessionTTL),
			Value: f.Max.Seconds(), Text: report.Milliseconds(f.Max), Mark: mark,
		})
	}
	return []page.Plot{b}
}

// plots shows the figures with a goal, each for all models on one scale.
func (r Compared) plots() []page.Plot {
	var all []page.Plot
	for _, f := range figures {
		if f.goal == 0 {
			continue
		}
		b := page.Bars{Title: f.name, Log: true}
		for i, c := range []struct {
			name string
			of   func(ComparedRound) ModelCost
		}{
			{"a goroutine a stream", func(r ComparedRound) ModelCost { return r.PerStream }},
			{"batched", func(r ComparedRound) ModelCost { return r.Batched }},
			{"two tiers", func(r ComparedRound) ModelCost { return r.TwoTier }},
		} {
			var values []float64
			for _, round := range r.Rounds {
				cost := c.of(round)
				values = append(values, *f.of(&cost))
			}
			b.Bars = append(b.Bars, page.Bar{Name: c.name, Value: measure.Median(values), Text: f.text(measure.Median(values)), Mark: i})
		}
		all = append(all, b)
	}
	return all
}

func (r Taken) plots() []page.Plot {
	return []page.Plot{page.Bars{Title: "Announced streams a second", Bars: []page.Bar{
		{Name: "taken by a process that starts", Value: r.Median, Text: report.Grouped(r.Median)},
		{Name: "a pipelined loop of XADD, for comparison", Value: r.XaddMid, Text: report.Grouped(r.XaddMid), Mark: 1},
	}}}
}

func (s Sized) plots() []page.Plot {
	if s.Costs.Bare == 0 {
		return plotHeld(s.Held)
	}
	return append(plotHeld(s.Held), page.Bars{Title: "What a renewal costs Redis", Bars: []page.Bar{
		{Name: "a lease in a full script", Value: s.Costs.renewal().Seconds(), Text: report.Microseconds(s.Costs.renewal())},
		{Name: "a bare pipelined PEXPIRE, for comparison", Value: s.Costs.Bare.Seconds(), Text: report.Microseconds(s.Costs.Bare), Mark: 1},
	}})
}

func (r Churned) plots() []page.Plot {
	rate := func(s ChurnStep) float64 { return float64(s.Rate) }
	return []page.Plot{
		page.Lines{Title: "From announcement to handler", X: "streams announced a second", Y: "ms", LogX: true, LogY: true, Series: []page.Series{
			over("p50", r.Steps, rate, func(s ChurnStep) float64 { return s.Own.P50.Seconds() * 1000 }),
			over("p99", r.Steps, rate, func(s ChurnStep) float64 { return s.Own.P99.Seconds() * 1000 }),
		}},
		page.Lines{Title: "Processor time", X: "streams announced a second", Y: "% of a core", LogX: true, Series: []page.Series{
			over("Redis", r.Steps, rate, func(s ChurnStep) float64 { return 100 * s.RedisCPU }),
			over("consumer", r.Steps, rate, func(s ChurnStep) float64 { return 100 * s.ConsumerCPU }),
			over("producer", r.Steps, rate, func(s ChurnStep) float64 { return 100 * s.ProducerCPU }),
		}},
	}
}

// plotPipelined plots batch sizes, with the default tick.
func plotPipelined(all []Pipelined) []page.Plot {
	var batches []Pipelined
	for _, p := range all {
		if p.Batch > 0 && p.Tick == wheel.DefaultTick {
			batches = append(batches, p)
		}
	}
	batch := func(p Pipelined) float64 { return float64(p.Batch) }
	return []page.Plot{
		page.Lines{Title: "What another tenant waits", X: "leases a script", Y: "ms, for a PING", LogX: true, LogY: true, Series: []page.Series{
			over("p50", batches, batch, func(p Pipelined) float64 { return p.Ping.P50.Seconds() * 1000 }),
			over("p99", batches, batch, func(p Pipelined) float64 { return p.Ping.P99.Seconds() * 1000 }),
			over("p99.9", batches, batch, func(p Pipelined) float64 { return p.Ping.P999.Seconds() * 1000 }),
		}},
		page.Lines{Title: "Time of the server", X: "leases a script", Y: "µs of execution, a renewal", LogX: true, Series: []page.Series{
			over("a renewal", batches, batch, func(p Pipelined) float64 { return micros(p.Redis) }),
		}},
	}
}
