package ticks

import (
	"fmt"
	"io"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/ticks/fired"
)

func (r Result) write(out io.Writer) {
	for _, c := range r.Cells {
		c.write(out)
	}
	if len(r.Cells) > 0 {
		fmt.Fprintf(out, `late  from when a tick was due until its handler was called, which does nothing
idle  how late a process wakes up meanwhile that does nothing but sleep for %v: that much is the machine's
With tickers and locks, each process has a goroutine and a time.Ticker for each schedule, and SET NX PX for each tick. Commands are those of
clients; those that scripts call are not counted. %d rounds of %v, in turn; medians of the rounds.

`, wakeStep, r.Options.Rounds, r.Options.For)
	}
	if len(r.Handovers) > 0 {
		r.writeHandovers(out)
	}
	if r.Changes != nil {
		r.Changes.write(out)
	}
	if r.Declared != nil {
		r.Declared.write(out)
	}
	if len(r.Many) > 0 {
		r.writeMany(out)
	}
	r.goals(out)
}

// figure is a line of a table of costs.
type figure struct {
	what string
	of   func(c Cell, m Model) string
}

// number is a line of numbers, duration one of times.
func number(what string, of func(Cost) float64, show func(float64) string) figure {
	return figure{what, func(c Cell, m Model) string { return show(middle(c, m, of)) }}
}

func duration(what string, of func(Cost) time.Duration) figure {
	return figure{what, func(c Cell, m Model) string { return report.Milliseconds(middle(c, m, of)) }}
}

func oneDecimal(x float64) string { return fmt.Sprintf("%.1f", x) }

var figures = []figure{
	number("ticks a second", func(c Cost) float64 { return c.Ticks }, oneDecimal),
	number("commands a second", commandsOf, oneDecimal),
	number("Redis, of a core", redisOf, report.Percent),
	number("processes, of a core", clientOf, report.Percent),
	duration("late, p50", func(c Cost) time.Duration { return c.P50 }),
	duration("late, p99", p99Of),
	duration("late, p99.9", func(c Cost) time.Duration { return c.P999 }),
	duration("late, max", func(c Cost) time.Duration { return c.Max }),
	number("bytes of the server, a schedule", func(c Cost) float64 { return c.ServerMemory }, report.Grouped[float64]),
	number("bytes of the processes, a schedule", func(c Cost) float64 { return c.Memory }, report.Grouped[float64]),
	number("goroutines of a process", func(c Cost) float64 { return float64(c.Goroutines) }, report.Grouped[float64]),
	number("all programs, of all cores", func(c Cost) float64 { return c.Machine }, report.Percent),
	duration("idle, p99", func(c Cost) time.Duration { return c.Noise.P99 }),
	duration("idle, max", func(c Cost) time.Duration { return c.Noise.Max }),
}

func (c Cell) write(out io.Writer) {
	t := report.NewColumns(c.name(), models, func(m Model) any { return string(m) })
	for _, f := range figures {
		t.Line(f.what, func(m Model) any { return f.of(c, m) })
	}
	t.Write(out)
	redis, client := c.times(Locks, Two, redisOf), c.times(Locks, Two, clientOf)
	fmt.Fprintf(out, "Tickers and locks, times two processes: Redis %.1f, processes %.1f, commands %.0f.\n\n", redis, client, c.times(Locks, Two, commandsOf))
}

func (r Result) writeHandovers(out io.Writer) {
	t := report.NewColumns("a process is", r.Handovers, func(h Handover) any { return h.name() })
	count := func(what string, of func(Handover) int) {
		t.Line(what, func(h Handover) any { return report.Grouped(of(h)) })
	}
	t.Line("the drain took", func(h Handover) any {
		if h.End == Killed {
			return ""
		}
		return report.Milliseconds(h.Took)
	})
	t.Line("from its end until all are owned", func(h Handover) any { return report.Seconds(h.Owned) })
	count("ticks", func(h Handover) int { return h.Ticks })
	count("lost, and there is no reason", func(h Handover) int { return h.Lost })
	count("lost, and no tick said so", func(h Handover) int { return h.Silent })
	count("nobody fired, since the owner was dead", func(h Handover) int { return h.Skipped })
	count("nobody fired, since a late one had just begun", func(h Handover) int { return h.Overlapped })
	count("fired again", func(h Handover) int { return h.Repeated + h.Unexcused })
	count("of these, of one schedule", func(h Handover) int { return h.MostOfOne })
	count("by an owner that was replaced", func(h Handover) int { return h.Stale })
	count("states that did not come along", func(h Handover) int { return h.Forgotten })
	t.Line("late, p50", func(h Handover) any { return report.Milliseconds(h.Late.P50) })
	t.Line("late, p99", func(h Handover) any { return report.Milliseconds(h.Late.P99) })
	t.Line("late, max", func(h Handover) any { return report.Milliseconds(h.Late.Max) })
	t.Line("without a tick beyond the interval, max", func(h Handover) any { return report.Seconds(h.Silence) })
	t.Write(out)
	fmt.Fprintf(out, `
One of two processes ends. Replaced: it is drained while another one starts, as in a deploy. Killed: its schedules are owned again when its
session has expired, and then have the last tick that they missed. Late: all ticks from then on.

`)
	for _, h := range r.Handovers {
		fmt.Fprintf(out, "%s, the latest: %s\n", h.name(), h.Latest)
		writeNamed(out, h.Findings)
	}
	fmt.Fprintln(out)
}

func (c *Changes) write(out io.Writer) {
	t := report.NewTable("until a change is in force", "p50", "p99", "max")
	for _, what := range kinds {
		l := c.InForce[what]
		t.Row(string(what), report.Milliseconds(l.P50), report.Milliseconds(l.P99), report.Milliseconds(l.Max))
	}
	t.Write(out)
	fmt.Fprintf(out, `
From the call until the owner's task knew of it: that the spec is another one, that there is a tick that was asked for, that the schedule is
gone, or there. %d of each, one after the other. Schedules whose owner changed: %d; promises that did not hold: %d.

`, c.Each, c.Moved, c.Faults())
	writeNamed(out, c.Findings)
}

func writeNamed(out io.Writer, f fired.Findings) {
	for _, text := range f.Named {
		fmt.Fprintf(out, "%s\n", text)
	}
}

func (d *Declared) write(out io.Writer) {
	t := report.NewTable("schedules are declared", "")
	t.Row("schedules", report.Grouped(d.Schedules))
	t.Row("none is there", report.Seconds(d.New))
	t.Row("all are there, unchanged", report.Seconds(measure.Median(d.Same)))
	t.Row("of that, the server", report.Milliseconds(d.Redis))
	t.Row("scripts", oneDecimal(d.Scripts))
	t.Row("writes", report.Grouped(d.Writes))
	t.Write(out)
	fmt.Fprintf(out, "\nUnchanged ones are declared %d times; the median. Writes are those of all times together.\n\n", declareRounds)
}

func (r Result) writeMany(out io.Writer) {
	t := report.NewColumns("one process", r.Many, func(l Large) any { return fmt.Sprintf("%s every %v", report.Grouped(l.Schedules), l.Every) })
	mega := func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
	t.Line("TTL of a lease", func(l Large) any { return l.LeaseTTL })
	t.Line("until all were put", func(l Large) any { return report.Seconds(l.Put) })
	t.Line("of that, the server", func(l Large) any { return report.Seconds(l.PutRedis) })
	t.Line("from the start of the process until it owned all", func(l Large) any { return report.Seconds(l.Start) })
	t.Line("of that, the server", func(l Large) any { return report.Seconds(l.Redis) })
	t.Line("and the process", func(l Large) any { return report.Seconds(l.Client) })
	t.Line("the server, when all were put", func(l Large) any { return mega(l.Declared) })
	t.Line("the server, when all were owned", func(l Large) any { return mega(l.Owned) })
	t.Line("the server, at the end", func(l Large) any { return mega(l.Fired) })
	t.Line("bytes of the server, a schedule", func(l Large) any { return report.Grouped(l.Cost.ServerMemory) })
	t.Line("ticks by then", func(l Large) any { return report.Grouped(l.Ticks) })
	t.Line("the process: live heap and stacks", func(l Large) any { return mega(l.Heap) })
	t.Line("bytes of the process, a schedule", func(l Large) any { return report.Grouped(l.Cost.Memory) })
	t.Line("the process: resident", func(l Large) any { return mega(l.RSS) })
	t.Line("ticks a second", func(l Large) any { return oneDecimal(l.Cost.Ticks) })
	t.Line("commands a second", func(l Large) any { return oneDecimal(l.Cost.Commands) })
	t.Line("Redis, of a core", func(l Large) any { return report.Percent(l.Cost.Redis) })
	t.Line("the process, of a core", func(l Large) any { return report.Percent(l.Cost.Client) })
	t.Line("late, p50", func(l Large) any { return report.Milliseconds(l.Cost.P50) })
	t.Line("late, p99", func(l Large) any { return report.Milliseconds(l.Cost.P99) })
	t.Line("late, max", func(l Large) any { return report.Milliseconds(l.Cost.Max) })
	t.Line("idle, p99", func(l Large) any { return report.Milliseconds(l.Cost.Noise.P99) })
	t.Write(out)
	fmt.Fprintf(out, "\nAll are put before the process starts, and then measured for %s, in which each has a tick.\n\n", r.restFor())
}

func (r Result) restFor() string {
	if r.Options.Rest > 0 {
		return r.Options.Rest.String()
	}
	return "one interval"
}
