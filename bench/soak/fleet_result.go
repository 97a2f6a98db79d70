package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/streamlease/streamlease/bench/report"
)

func (r *FleetResult) write(out io.Writer) {
	t := report.NewTable("what happened", "")
	for _, name := range slices.Sorted(maps.Keys(r.Struck)) {
		t.Row("processes "+name, report.Grouped(r.Struck[name]))
	}
	t.Row("starts of processes", report.Grouped(r.Starts))
	if r.Old != "" {
		t.Row("of these, of the other build", report.Grouped(r.Older))
		t.Row("streams that became dead letters, which is allowed", report.Grouped(r.Letters))
	}
	t.Row("starts that failed and were retried", report.Grouped(r.Refused))
	t.Row("left on the server at the end", r.Left)
	t.Row("processes that did not shut down cleanly", report.Grouped(len(r.BadEnds)))
	t.Write(out)
	fmt.Fprintln(out)
	rounds := report.NewTable("round", "processes", "ownerships", "until all were owned", "until shares were even", "least", "greatest", "nobody's")
	lost, uneven := 0, 0
	for i, x := range r.Rounds {
		even := ""
		switch {
		case !x.Even:
			even = fmt.Sprintf("not in %v", r.Calm)
			uneven++
		case r.balances():
			even = report.Seconds(x.Balanced)
		}
		lost += x.Lost
		rounds.Row(i+1, x.Processes, report.Grouped(x.Ownerships), report.Seconds(x.Owned), even,
			report.Grouped(slices.Min(x.Held)), report.Grouped(slices.Max(x.Held)), report.Grouped(x.Lost))
	}
	rounds.Write(out)
	overlaps := 0
	if r.Overlaps != "" {
		overlaps = 1
		fmt.Fprintf(out, "\n%s\n", r.Overlaps)
	}
	for _, end := range r.BadEnds {
		fmt.Fprintf(out, "\ndid not shut down cleanly: %s\n", end)
	}
	fmt.Fprintf(out, `
Seed %d; %v of troubles, partitions: %d, %s streams, which all processes keep; lease TTL %v, session TTL %v.
In a storm of %v, troubles strike processes and their connections, for up to twice the session TTL, while one more process comes and goes.
Then nothing is disturbed until shares are within %.0f %% of the fair one and a stream, for %v.
`, r.Seed, r.For, max(r.Partitions, 1), report.Grouped(r.Streams), r.LeaseTTL, r.SessionTTL, r.Storm, 100*evenShare, evenFor)
	if r.Old != "" {
		fmt.Fprintln(out, "A storm begins with processes of the other build. Each that follows is of this one or the other, at random, and after it all are of this one.")
	}
	report.Goal(out, "rounds whose journals show two owners or falling tokens", float64(overlaps), "at most", 0)
	report.Goal(out, "streams that nobody owns", float64(lost), "at most", 0)
	if !r.balances() {
		fmt.Fprintf(out, "The balance is %s, so shares need not become even.\n", r.Balance)
	}
	report.Goal(out, "calms in which shares did not become even", float64(uneven), "at most", 0)
	report.Goal(out, "processes that did not shut down cleanly", float64(len(r.BadEnds)), "at most", 0)
}
