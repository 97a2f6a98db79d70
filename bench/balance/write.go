package balance

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
)

// lines is about how many times the table of shares shows, and mostColumns how many processes: of more, it shows the least, the middle and the
// greatest.
const (
	lines       = 12
	mostColumns = 8
)

func (r Result) write(out io.Writer) {
	fmt.Fprintf(out, "%s streams, %d processes, balance: %s\n\n", report.Grouped(r.Options.Streams), r.Options.Processes,
		cmp.Or(string(r.Options.Balance), "as engines have it by default"))
	if len(r.Changes) > 0 {
		r.writeChanges(out)
		for _, c := range r.Changes {
			writeShares(out, c.heading(), c.Series, c.Streams)
		}
	}
	if r.Steady != nil {
		r.Steady.write(out)
		writeShares(out, "streams that end and come again", r.Steady.Series, r.Steady.Streams)
	}
	if r.Flap != nil {
		r.Flap.write(out)
	}
	if r.Beats != nil {
		r.Beats.write(out)
	}
	if len(r.Added) > 0 {
		r.writeAdded(out)
	}
	for _, left := range r.Left {
		fmt.Fprintf(out, "not measured: %s\n", left)
	}
	r.goals(out)
}

// heading says what happened.
func (c Change) heading() string {
	switch c.Part {
	case Deploy:
		return fmt.Sprintf("%s, %d replaced", c.Part, c.Processes)
	case Cold:
		return fmt.Sprintf("%s, %d start", c.Part, c.After)
	}
	return fmt.Sprintf("%s, %d → %d", c.Part, c.Processes, c.After)
}

func (r Result) writeChanges(out io.Writer) {
	t := report.NewColumns("", r.Changes, func(c Change) any { return c.heading() })
	t.Line("the change itself took", func(c Change) any { return report.Seconds(c.Took) })
	t.Line("until all streams were owned", func(c Change) any { return report.Seconds(c.Owned) })
	t.Line("until shares were even", func(c Change) any {
		if !c.Even {
			return fmt.Sprintf("not in %v", r.Options.Within)
		}
		return report.Seconds(c.Balanced)
	})
	t.Line("shares when the change was over", func(c Change) any { return c.First })
	t.Line("shares at the end", func(c Change) any { return c.Spread })
	t.Line("greatest share", func(c Change) any { return fmt.Sprintf("%.2f", c.Peak) })
	t.Line("moves", func(c Change) any { return report.Grouped(c.Moves.All) })
	t.Line("moves a stream", func(c Change) any { return fmt.Sprintf("%.2f", c.Moves.Mean) })
	t.Line("moves of one stream, at most", func(c Change) any { return c.Moves.Most })
	t.Line("streams that moved more than twice", func(c Change) any { return report.Grouped(c.Moves.Often) })
	t.Line("moves back to who gave", func(c Change) any { return report.Grouped(c.Moves.Back) })
	gap := func(of func(Moves) (int, time.Duration)) func(Change) any {
		return func(c Change) any {
			n, d := of(c.Moves)
			if n == 0 {
				return ""
			}
			return report.Milliseconds(d)
		}
	}
	t.Line("without an owner, handed back, p50", gap(func(m Moves) (int, time.Duration) { return m.All - m.Dead, m.Gap.P50 }))
	t.Line("without an owner, handed back, p99", gap(func(m Moves) (int, time.Duration) { return m.All - m.Dead, m.Gap.P99 }))
	t.Line("without an owner, handed back, max", gap(func(m Moves) (int, time.Duration) { return m.All - m.Dead, m.Gap.Max }))
	t.Line("without an owner, killed, max", gap(func(m Moves) (int, time.Duration) { return m.Dead, m.Orphan.Max }))
	t.Line(fmt.Sprintf("handed back, and %v without an owner", handicap), func(c Change) any { return report.Grouped(c.Moves.Waited) })
	t.Line("reads of what had waited for too long", func(c Change) any { return report.Grouped(c.Leftovers) })
	cost := func(of func(*MoveCost) string) func(Change) any {
		return func(c Change) any {
			if c.Cost == nil {
				return ""
			}
			return of(c.Cost)
		}
	}
	t.Line("commands from clients, a move", cost(func(m *MoveCost) string { return fmt.Sprintf("%.2f", m.Commands) }))
	t.Line("run by the server, a move", cost(func(m *MoveCost) string { return fmt.Sprintf("%.1f", m.Ran) }))
	t.Line("CPU of the server, a move", cost(func(m *MoveCost) string {
		return fmt.Sprintf("%.0f ± %.0f µs", m.CPU.Seconds()*1e6, m.Off.Seconds()*1e6)
	}))
	t.Line("streams that nobody owns at the end", func(c Change) any { return report.Grouped(c.Lost) })
	t.Line("two owners, tokens that fall", func(c Change) any { return cmp.Or(c.Overlaps, "none") })
	t.Write(out)
	fmt.Fprintf(out, `
even              each share is within %.0f %% of the fair one and a stream, for %v; of a deploy, counted from its end
shares            the least and the greatest, of the fair one
greatest share    at any time, of the fair one at the end; where others start beside one that holds all, of these
moves             changes of the owner, those after a death included
without an owner  from the last moment at which one owned the stream, by its journal, until the next one was notified; killed: from the kill
a move            what the server did each second, fitted as so much a second and so much a move; ± the standard error

`, 100*even, r.Options.Stay)
}

// String is both, with two digits.
func (s Spread) String() string { return fmt.Sprintf("%.2f–%.2f", s.Least, s.Greatest) }

// writeShares writes how many streams each process holds, over time.
func writeShares(out io.Writer, what string, series []Sample, streams int) {
	if len(series) == 0 {
		return
	}
	names, values := columnsOf(series, mostColumns)
	heads := []any{what + ": seconds"}
	for _, name := range names {
		heads = append(heads, name)
	}
	t := report.NewTable(heads...)
	row := func(i int) {
		cells := []any{fmt.Sprintf("%.1f", series[i].At.Seconds())}
		for _, v := range values {
			if v[i] < 0 {
				cells = append(cells, "")
				continue
			}
			cells = append(cells, report.Grouped(v[i]))
		}
		t.Row(cells...)
	}
	step := (len(series) + lines - 1) / lines
	for i := 0; i < len(series)-1; i += step {
		row(i)
	}
	row(len(series) - 1)
	t.Write(out)
	fmt.Fprintln(out)
}

// columnsOf are the numbers of streams of each process that took part; of more than so many, the least, the middle and the greatest.
func columnsOf(series []Sample, most int) (names []string, values [][]int) {
	for p := range series[len(series)-1].Held {
		var v []int
		for _, s := range series {
			v = append(v, s.Held[p])
		}
		if slices.Max(v) >= 0 {
			names, values = append(names, fmt.Sprint("process ", p+1)), append(values, v)
		}
	}
	if len(values) <= most {
		return names, values
	}
	extremes := make([][]int, 3)
	for i := range series {
		var now []int
		for _, v := range values {
			if v[i] >= 0 {
				now = append(now, v[i])
			}
		}
		if now == nil {
			now = []int{-1} // none has started yet
		}
		slices.Sort(now)
		for k, at := range []int{0, len(now) / 2, len(now) - 1} {
			extremes[k] = append(extremes[k], now[at])
		}
	}
	return []string{"least", "middle", "greatest"}, extremes
}

func (c *Calm) write(out io.Writer) {
	t := report.NewTable("streams end and come again", "")
	t.Row("for", c.For)
	t.Row("streams that ended, and came again", report.Grouped(c.Ended))
	t.Row("moves of streams that did not end", report.Grouped(c.Moves))
	t.Row("shares at the beginning", c.First)
	t.Row("shares later, when all were there", c.Spread)
	t.Row("streams that nobody owns at the end", report.Grouped(c.Lost))
	t.Row("two owners, tokens that fall", cmp.Or(c.Overlaps, "none"))
	t.Write(out)
	fmt.Fprintf(out, "\nEvery %v, %.0f %% of the streams end, whoever has them, and half of that time later they are announced again.\n\n", turnEvery, 100*turnover)
}

func (f *Flaps) write(out io.Writer) {
	t := report.NewTable("beside a process that dies again and again", "without", "with the balance")
	line := func(what string, of func(Flapped) any) { t.Row(what, of(f.Without), of(f.With)) }
	line("streams whose owner died", func(x Flapped) any { return report.Grouped(x.crashed()) })
	line("of these, at one death", func(x Flapped) any { return report.Grouped(slices.Max(x.Held)) })
	line("streams that others handed back and it took", func(x Flapped) any { return report.Grouped(x.Shed) })
	line("streams that nobody owns at the end", func(x Flapped) any { return report.Grouped(x.Lost) })
	line("two owners, tokens that fall", func(x Flapped) any { return cmp.Or(x.Overlaps, "none") })
	t.Write(out)
	fmt.Fprintf(out, `
It lives for %v of every %v, %d times, beside %d others. Streams live for %v on average. Both fleets at once, on two servers.

`, flapUp, flapEvery, f.Crashes, f.Processes, flapLives)
}

func (r *BeatCosts) write(out io.Writer) {
	than := r.reference()
	t := report.NewTable("a beat of an engine that holds nothing", "executing", "more", "middle half", "processor time", "more", "middle half")
	for i, f := range r.Fleets {
		cells := []any{f.Name}
		for _, of := range []func(BeatWindow) time.Duration{BeatWindow.ran, BeatWindow.cpu} {
			cells = append(cells, report.Microseconds(f.figure(of)))
			if i == than {
				cells = append(cells, "", "")
				continue
			}
			more, low, high := r.more(i, than, of)
			cells = append(cells, report.Microseconds(more), fmt.Sprintf("%s to %s", report.Microseconds(low), report.Microseconds(high)))
		}
		t.Row(cells...)
	}
	t.Write(out)
	fmt.Fprintf(out, `
%d processes on a server of its own for each line, all read at once in %d windows of %v; medians of the windows. More: than %s, in
the same window. Processor time is the server's, and contains what it does by itself.

`, r.Processes, len(r.Fleets[0].Windows), beatWindow, r.Fleets[than].Name)
}

func (r Result) writeAdded(out io.Writer) {
	t := report.NewTable("until owned", "without", "with the balance", "ratio", "middle half", "noise", "middle half")
	for _, a := range r.Added {
		for _, q := range quantiles {
			ratio, low, high := a.ratio(0, q.of)
			noise, least, most := a.ratio(2, q.of)
			t.Row(fmt.Sprintf("%s, %s", a.name(), q.name), report.Milliseconds(q.of(a.Latency[1])), report.Milliseconds(q.of(a.Latency[0])),
				fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.2f–%.2f", low, high), fmt.Sprintf("%.2f", noise), fmt.Sprintf("%.2f–%.2f", least, most))
		}
	}
	t.Write(out)
	fmt.Fprintf(out, `
From when a stream was due to be announced until its owner was notified, which calls Done at once; %d other streams are held. One by one: %d a
second; bursts: %d at once, each second. %d rounds of %v,
in turn. Ratios are of two fleets in the same round: the median of the rounds, and their middle half.
noise  the same ratio, of another fleet that has no balance either

`, min(r.Options.Streams, addedStreams), addedRate, burst, r.Options.Rounds, r.Options.For)
}

var quantiles = []struct {
	name string
	of   func(measure.Latency) time.Duration
}{
	{"p50", func(l measure.Latency) time.Duration { return l.P50 }},
	{"p99", func(l measure.Latency) time.Duration { return l.P99 }},
}

func (a Arrival) name() string {
	how := "one by one"
	if a.Bursts {
		how = "bursts"
	}
	if a.Processes == 1 {
		return "1 process, " + how
	}
	return fmt.Sprintf("%d processes, %s", a.Processes, how)
}
