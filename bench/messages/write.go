package messages

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/report"
)

// names are how models are called in tables.
var names = map[Model]string{None: "nobody reads", Owned: "owned, not read", Blocking: "a connection a stream", Feed: "feed"}

// of returns the costs of a model, one a round.
func (c Cell) of(m Model) (all []*Cost) {
	for _, r := range c.Rounds {
		if cost := map[Model]*Cost{None: r.None, Blocking: r.Blocking, Feed: r.Feed}[m]; cost != nil {
			all = append(all, cost)
		}
	}
	return all
}

// middle is the median of a figure over the rounds.
func middle[T float64 | time.Duration](all []*Cost, of func(*Cost) T) T {
	var values []T
	for _, c := range all {
		values = append(values, of(c))
	}
	return measure.Median(values)
}

// net is the median over the rounds of the server's time for a message without the producer's part.
func (c Cell) net(m Model) time.Duration {
	var all []time.Duration
	for _, r := range c.Rounds {
		if cost := map[Model]*Cost{Blocking: r.Blocking, Feed: r.Feed}[m]; cost != nil {
			all = append(all, r.net(cost))
		}
	}
	return measure.Median(all)
}

func (r Result) write(out io.Writer) {
	for _, n := range r.Options.Streams {
		r.writeLoads(out, n)
	}
	if len(r.Cells) > 0 {
		r.writeAgainst(out)
		fmt.Fprintf(out, `
Messages of %d bytes; medians of %d rounds, each model in turn, with a server and a process of its own. Time is that of processors, a message.
even, zipf   each stream gets as many; the k-th most busy one a share in proportion to k^-1.1
net Redis    without what the producer alone costs under the same load, the lines "%s"
latency      from when a message was handed to the producer's client until its handler was called; upper bounds of buckets that are 2 %% wide
served       a second, by the time the last one was sent
feed         owns the streams, renews their leases and stores how far each has come; the others do none of that
`, load.Size, r.Options.Rounds, names[None])
		r.writeParts(out)
	}
	r.writeIdle(out)
	r.writeBacklogs(out)
	r.writeLeaves(out)
	r.writeTracking(out)
	r.writeHung(out)
	r.writeCheckpoints(out)
	for _, left := range r.Left {
		fmt.Fprintf(out, "Not measured: %s.\n", left)
	}
	fmt.Fprintln(out)
	r.goals(out)
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond)) }

func (r Result) writeLoads(out io.Writer, streams int) {
	t := report.NewTable(report.Grouped(streams)+" streams", "messages/s", "spread", "served/s", "Redis µs", "net Redis µs", "client µs", "p50 ms", "p99 ms", "p99.9 ms", "max ms")
	rows, without := 0, ""
	for _, c := range r.Cells {
		if c.Streams != streams {
			continue
		}
		without = c.Without
		for _, m := range []Model{None, Blocking, Feed} {
			all := c.of(m)
			if len(all) == 0 {
				continue
			}
			rows++
			if m == None {
				t.Row(names[m], report.Grouped(c.Rate), c.Spread, "", micros(middle(all, func(c *Cost) time.Duration { return c.Redis })))
				continue
			}
			t.Row(names[m], report.Grouped(c.Rate), c.Spread, report.Grouped(middle(all, func(c *Cost) float64 { return c.Served })),
				micros(middle(all, func(c *Cost) time.Duration { return c.Redis })), micros(c.net(m)),
				micros(middle(all, func(c *Cost) time.Duration { return c.Client })),
				milliseconds(middle(all, func(c *Cost) time.Duration { return c.P50 })), milliseconds(middle(all, func(c *Cost) time.Duration { return c.P99 })),
				milliseconds(middle(all, func(c *Cost) time.Duration { return c.P999 })), milliseconds(middle(all, func(c *Cost) time.Duration { return c.Max })))
		}
	}
	if rows == 0 {
		return
	}
	t.Write(out)
	if without != "" {
		fmt.Fprintf(out, "Nothing to compare with: %s.\n", without)
	}
	fmt.Fprintln(out)
}

// writeAgainst shows what Feed costs of Blocking.
func (r Result) writeAgainst(out io.Writer) {
	t := report.NewTable("feed, of a connection a stream", "messages/s", "spread", "net Redis", "client", "p50", "p99", "served")
	rows := 0
	for _, c := range r.Cells {
		if !c.compared() || len(c.of(Feed)) == 0 {
			continue
		}
		share := func(of func(Round, *Cost) float64) string { return fmt.Sprintf("%.2f", c.ratio(of)) }
		t.Row(report.Grouped(c.Streams)+" streams", report.Grouped(c.Rate), c.Spread, share(netOf), share(clientOf), share(p50Of),
			share(func(_ Round, c *Cost) float64 { return float64(c.P99) }), share(servedOf))
		rows++
	}
	if rows > 0 {
		t.Write(out)
	}
}

// writeParts takes the server's time for a message apart, by command.
func (r Result) writeParts(out io.Writer) {
	var commands []string
	for _, c := range r.Cells {
		for _, m := range []Model{Blocking, Feed} {
			for _, cost := range c.of(m) {
				for name, d := range cost.Ran {
					if d >= 50*time.Nanosecond && !slices.Contains(commands, name) {
						commands = append(commands, name)
					}
				}
			}
		}
	}
	slices.Sort(commands)
	fmt.Fprintln(out, "\nOf the server's time, executing commands, µs a message (how many commands a message); that of evalsha includes what its scripts call:")
	for _, c := range r.Cells {
		for _, m := range []Model{Blocking, Feed} {
			all := c.of(m)
			if len(all) == 0 {
				continue
			}
			var parts []string
			for _, name := range commands {
				d := middle(all, func(c *Cost) time.Duration { return c.Ran[name] })
				if n := middle(all, func(c *Cost) float64 { return c.Calls[name] }); d >= 50*time.Nanosecond {
					parts = append(parts, fmt.Sprintf("%s %s (%.2f)", name, micros(d), n))
				}
			}
			fmt.Fprintf(out, "  %s streams, %s/s %s, %s: %s\n", report.Grouped(c.Streams), report.Grouped(c.Rate), c.Spread, names[m], strings.Join(parts, ", "))
		}
	}
}

func (r Result) writeIdle(out io.Writer) {
	if len(r.Idle) == 0 {
		return
	}
	t := report.NewTable("nothing is added", "streams", "Redis", "client", "commands/s", "connections", "goroutines", "heap a stream", "with stacks", "server a stream")
	for _, i := range r.Idle {
		if i.Model == None {
			t.Row(names[i.Model], report.Grouped(i.Streams), percent(i.RedisCPU))
			continue
		}
		bytes := func(n float64) string { return fmt.Sprintf("%s B", report.Grouped(n)) }
		t.Row(names[i.Model], report.Grouped(i.Streams), percent(i.RedisCPU), percent(i.ClientCPU), fmt.Sprintf("%.1f", i.Commands),
			i.Connections, report.Grouped(i.Goroutines), bytes(i.Heap), bytes(i.Memory), bytes(i.ServerMemory))
	}
	t.Write(out)
	fmt.Fprint(out, `Shares of a core. Heap: live bytes, less those of the same reader without streams. Server: its memory, buffers of connections
included, less the streams themselves. Connections include those of renewals and announcements.

`)
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func (r Result) writeBacklogs(out io.Writer) {
	if len(r.Backlogs) == 0 {
		return
	}
	t := report.NewTable("a backlog", "streams", "messages", "messages/s", "from the start", "Redis µs", "client µs")
	for _, g := range r.Backlogs {
		for _, m := range []Model{Blocking, Feed} {
			var all []*Drain
			for _, round := range g.Rounds {
				if d := map[Model]*Drain{Blocking: round.Blocking, Feed: round.Feed}[m]; d != nil {
					all = append(all, d)
				}
			}
			if len(all) == 0 {
				continue
			}
			t.Row(names[m], report.Grouped(g.Streams), report.Grouped(g.Messages), report.Grouped(ofDrains(all, drainedOf)),
				report.Grouped(ofDrains(all, func(d *Drain) float64 { return d.FromStart })),
				micros(ofDrains(all, func(d *Drain) time.Duration { return d.Redis })), micros(ofDrains(all, func(d *Drain) time.Duration { return d.Client })))
		}
	}
	t.Write(out)
	fmt.Fprint(out, `From the first message handled until the last one; from the start: from when the reader could begin. Connections have been made then;
feed has yet to take the streams, which are announced at that moment.

`)
}

func (r Result) writeLeaves(out io.Writer) {
	if len(r.Leaves) == 0 {
		return
	}
	t := report.NewTable("handed back by", "streams", "took", "Redis µs a stream", "client µs")
	for _, l := range r.Leaves {
		for _, m := range leavers {
			t.Row(names[m], report.Grouped(l.Streams), report.Seconds(l.of(m, func(x Left) time.Duration { return x.Took })),
				micros(l.of(m, func(x Left) time.Duration { return x.Redis })), micros(l.of(m, func(x Left) time.Duration { return x.Client })))
		}
	}
	t.Write(out)
	fmt.Fprint(out, "From when the process was asked to end until all its streams were free. Feed had just handled a message of each, and stores how far it came.\n\n")
}

func ofDrains[T float64 | time.Duration](all []*Drain, of func(*Drain) T) T {
	var values []T
	for _, d := range all {
		values = append(values, of(d))
	}
	return measure.Median(values)
}

func (r Result) writeTracking(out io.Writer) {
	if len(r.Tracking) == 0 {
		return
	}
	rate := report.Grouped(r.Tracking[0].Rate) + "/s: "
	t := report.NewTable("room for", "streams", "Redis, idle", "client, idle", "commands/s, idle", rate+"Redis µs", "client µs", "p50 ms", "p99 ms")
	for _, k := range r.Tracking {
		t.Row(fmt.Sprintf("%.0f %%", 100*k.Share), report.Grouped(k.Idle.Streams), percent(k.Idle.RedisCPU), percent(k.Idle.ClientCPU),
			fmt.Sprintf("%.0f", k.Idle.Commands), micros(k.Loaded.Redis), micros(k.Loaded.Client), milliseconds(k.Loaded.P50), milliseconds(k.Loaded.P99))
	}
	t.Write(out)
	fmt.Fprint(out, "What the server's table of tracked keys (tracking-table-max-keys) has room for, of the streams that feed reads.\n\n")
}

func (r Result) writeHung(out io.Writer) {
	h := r.Hung
	if h == nil {
		return
	}
	fmt.Fprintf(out, `Of three masters with %s streams and %s messages a second, one did not answer for %v. Messages on the other two: p50 %s ms, p99 %s ms,
max %s ms, before: %s, %s, %s ms. After it went on, all messages were handled in %s.
`, report.Grouped(h.Streams), report.Grouped(h.Rate), h.For, milliseconds(h.During.P50), milliseconds(h.During.P99), milliseconds(h.During.Max),
		milliseconds(h.Before.P50), milliseconds(h.Before.P99), milliseconds(h.Before.Max), report.Seconds(h.Back))
}

func (r Result) writeCheckpoints(out io.Writer) {
	c := r.Checkpoints
	if c == nil {
		return
	}
	t := report.NewTable("a stream, of "+report.Grouped(c.Streams), "Redis")
	t.Row("renewed", report.Microseconds(c.Renewed))
	t.Row("renewed, with a checkpoint", report.Microseconds(c.Along))
	t.Row("a checkpoint by itself", report.Microseconds(c.Alone))
	t.Row("acquired, without a checkpoint", report.Microseconds(c.Acquired))
	t.Row("acquired, with a checkpoint", report.Microseconds(c.Read))
	t.Write(out)
	fmt.Fprintf(out, "Processor time of the server, %d a script, checkpoints of %d bytes, each of which takes %.0f bytes of its memory.\n",
		c.PerScript, c.Length, c.Bytes)
}
